// Layout files of loaded models, by model: what is there, what is being written, what is offered.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CoreClient, LayoutState } from '../../main/contract/index.ts';
import { navigate } from '../shell/navigation.ts';
import type { NoticesState } from './notices.ts';

export interface LayoutsState {
  layouts: Readonly<Record<string, LayoutState | null>>;
  fetch(modelId: string): Promise<void>;
  write(modelId: string): Promise<void>;
  decline(modelId: string): Promise<void>;
  delete(modelId: string): Promise<void>;
}

export function createLayoutsStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<LayoutsState> {
  const store = createStore<LayoutsState>()((set) => {
    const take = async (modelId: string, answer: Promise<LayoutState | null>) => {
      try {
        const state = await answer;
        set(({ layouts }) => ({ layouts: { ...layouts, [modelId]: state } }));
      } catch (error) {
        notices.getState().error(error);
      }
    };
    return {
      layouts: {},
      fetch: (modelId) => take(modelId, client.call('layouts.status', { modelId })),
      write: (modelId) => take(modelId, client.call('layouts.write', { modelId })),
      decline: (modelId) => take(modelId, client.call('layouts.decline', { modelId })),
      delete: (modelId) => take(modelId, client.call('layouts.delete', { modelId })),
    };
  });
  client.on('layouts.changed', (state) => {
    const { modelId } = state;
    const before = store.getState().layouts[modelId];
    store.setState(({ layouts }) => ({ layouts: { ...layouts, [modelId]: state } }));
    if (state.offered && !before?.offered) notices.getState().show(offer(state, store.getState()));
  });
  client.on('models.removed', ({ id }) => store.setState(({ layouts: { [id]: _, ...layouts } }) => ({ layouts })));
  return store;
}

function offer({ modelId }: LayoutState, { write, decline }: LayoutsState): Parameters<NoticesState['show']>[0] {
  return {
    tone: 'info',
    title: `${modelId} reads experts from disk. A layout file beside it would make that faster.`,
    text: 'The Placement page says how much disk it takes.',
    actions: [
      { label: 'Write it', run: () => void write(modelId) },
      { label: 'Not for this model', run: () => void decline(modelId) },
      { label: 'Show', run: () => navigate('placement', [], { of: modelId }) },
    ],
  };
}
