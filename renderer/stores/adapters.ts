// LoRA adapters of the models, by model.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CoreClient, ModelAdapter, TrainingRun } from '../../main/contract/index.ts';
import type { NoticesState } from './notices.ts';

export interface AdaptersState {
  /** a model without an entry has none */
  adapters: Readonly<Record<string, readonly ModelAdapter[]>>;
  fetch(): Promise<void>;
  /** Rejects with why the file is refused. */
  add(modelId: string, path: string): Promise<ModelAdapter>;
  /** What a run had learnt at this step, which has a checkpoint; its file is made at the first call. `ticket`: of that. */
  addFromRun(run: TrainingRun, step: number, ticket?: string): Promise<ModelAdapter>;
  remove(id: string): Promise<void>;
}

const NAME_MOST = 100;

/** The step stays readable. */
function adapterName(run: string, step: number): string {
  const end = `, step ${step}`;
  return `${run.slice(0, NAME_MOST - end.length)}${end}`;
}

export function createAdaptersStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<AdaptersState> {
  const store = createStore<AdaptersState>()((set) => ({
    adapters: {},
    fetch: async () => {
      const all = await client.call('adapters.list', {});
      const models = new Set(all.map(({ modelId }) => modelId));
      set({ adapters: Object.fromEntries([...models].map((id) => [id, all.filter(({ modelId }) => modelId === id)])) });
    },
    add: (modelId, path) => client.call('adapters.add', { modelId, path }),
    addFromRun: async ({ id, modelId, name }, step, ticket = `adapter-${id}-${step}`) => {
      const { path } = await client.call('training.adapter', { id, step, ticket });
      return client.call('adapters.add', { modelId, path, name: adapterName(name, step) });
    },
    remove: async (id) => {
      await client.call('adapters.remove', { id }).catch((error: unknown) => notices.getState().error(error));
    },
  }));
  client.on('adapters.changed', ({ modelId, adapters }) => store.setState((state) => ({ adapters: { ...state.adapters, [modelId]: adapters } })));
  return store;
}
