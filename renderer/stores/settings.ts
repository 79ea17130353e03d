import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CoreClient, Settings } from '../../main/contract/index.ts';
import type { NoticesState } from './notices.ts';
import { applyTheme } from './theme.ts';

export interface SettingsState {
  /** null until the core answered */
  settings: Settings | null;
  fetch(): Promise<void>;
  /** shows the change at once and takes it back if the core refuses it */
  change(change: Partial<Settings>): Promise<void>;
}

export function createSettingsStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<SettingsState> {
  const store = createStore<SettingsState>()((set, get) => ({
    settings: null,
    fetch: async () => set({ settings: await client.call('settings.get', {}) }),
    change: async (change) => {
      const before = get().settings;
      if (before) set({ settings: { ...before, ...change } });
      try {
        set({ settings: await client.call('settings.set', change) });
      } catch (error) {
        set({ settings: before });
        notices.getState().error(error);
      }
    },
  }));
  client.on('settings.changed', (settings) => store.setState({ settings }));
  store.subscribe((state, previous) => {
    const theme = state.settings?.theme;
    if (theme && theme !== previous.settings?.theme) applyTheme(theme);
  });
  return store;
}
