// Model cards and downloads.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CoreClient, Download, LoadOptions, ModelCard } from '../../main/contract/index.ts';
import type { NoticesState } from './notices.ts';

export interface ModelsState {
  /** null until the core answered */
  models: ModelCard[] | null;
  downloads: Download[];
  fetch(): Promise<void>;
  /** true: it is loaded now; false: the reason has been shown */
  load(id: string, options?: LoadOptions): Promise<boolean>;
  cancelLoad(id: string): Promise<void>;
  unload(id: string): Promise<void>;
  scan(): Promise<void>;
}

export function createModelsStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<ModelsState> {
  const store = createStore<ModelsState>()((set) => {
    /** runs a call that answers with a card; false when it failed, which has been shown */
    const withCard = async (call: Promise<ModelCard>): Promise<boolean> => {
      try {
        const card = await call;
        set((state) => ({ models: upsert(state.models ?? [], card) }));
        return true;
      } catch (error) {
        notices.getState().error(error);
        return false;
      }
    };
    return {
      models: null,
      downloads: [],
      fetch: async () => {
        const [models, downloads] = await Promise.all([client.call('models.list', {}), client.call('downloads.list', {})]);
        set({ models, downloads });
      },
      load: (id, options) => withCard(client.call('models.load', options ? { id, options } : { id })),
      cancelLoad: async (id) => {
        await client.call('models.cancelLoad', { id }).catch((error: unknown) => notices.getState().error(error));
      },
      unload: async (id) => {
        await withCard(client.call('models.unload', { id }));
      },
      scan: async () => {
        try {
          set({ models: await client.call('models.scan', {}) });
        } catch (error) {
          notices.getState().error(error);
        }
      },
    };
  });
  client.on('models.changed', (card) => store.setState((state) => ({ models: upsert(state.models ?? [], card) })));
  // A file that was opened with the app: known, then loaded.
  client.on('app.openFile', ({ path }) => {
    client
      .call('models.add', { path })
      .then((card) => store.getState().load(card.id))
      .catch((error: unknown) => notices.getState().error(error));
  });
  client.on('models.removed', ({ id }) => store.setState((state) => ({ models: (state.models ?? []).filter((card) => card.id !== id) })));
  client.on('downloads.changed', (download) => store.setState((state) => ({ downloads: upsert(state.downloads, download) })));
  client.on('downloads.removed', ({ id }) => store.setState((state) => ({ downloads: state.downloads.filter((one) => one.id !== id) })));
  return store;
}

function upsert<Item extends { id: string }>(items: Item[], item: Item): Item[] {
  return items.some((other) => other.id === item.id) ? items.map((other) => (other.id === item.id ? item : other)) : [...items, item];
}

export const isLoaded = (card: ModelCard | undefined): boolean => card?.state.state === 'loaded';

/** The model that answers: the wanted one if it still exists, else a loaded one, else the embedded one. */
export function chooseModel(models: readonly ModelCard[], wanted: string | null | undefined): ModelCard | undefined {
  return (
    models.find((card) => card.id === wanted) ??
    models.find(isLoaded) ??
    models.find((card) => card.state.state === 'loading') ??
    models.find((card) => card.source === 'embedded')
  );
}
