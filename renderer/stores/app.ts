// The connection, the engine, the devices, the HTTP endpoint.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { ApiStatus, AppInfo, CoreClient, Device, EngineStatus, RemoteMachine } from '../../main/contract/index.ts';
import type { NoticesState } from './notices.ts';

export interface AppState {
  /** `refused`: the one-time token is wrong or was used up by another start of the core */
  connection: 'connecting' | 'connected' | 'lost' | 'refused';
  info: AppInfo | null;
  engine: EngineStatus | null;
  devices: Device[];
  machines: RemoteMachine[];
  api: ApiStatus | null;
  fetch(): Promise<void>;
  fetchDevices(): Promise<void>;
  /** tries machines again that could not be reached */
  reconnect(): Promise<void>;
  restartEngine(): Promise<void>;
  /** null removes the key */
  setApiKey(key: string | null): Promise<void>;
  setConnection(connection: AppState['connection']): void;
}

export function createAppStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<AppState> {
  const store = createStore<AppState>()((set, get) => ({
    connection: 'connecting',
    info: null,
    engine: null,
    devices: [],
    machines: [],
    api: null,
    fetch: async () => {
      const [info, api] = await Promise.all([client.call('app.info', {}), client.call('api.status', {})]);
      set({ info, engine: info.engine, api });
      await get().fetchDevices();
    },
    // The engine answers this; while it is down the last figures stay.
    fetchDevices: async () => {
      const [devices, machines] = await Promise.all([client.call('devices.list', {}).catch(() => null), client.call('devices.remote', {}).catch(() => null)]);
      set({ ...(devices ? { devices } : {}), ...(machines ? { machines } : {}) });
    },
    reconnect: async () => {
      try {
        set({ machines: await client.call('devices.reconnect', {}) });
      } catch (error) {
        notices.getState().error(error);
      }
    },
    restartEngine: async () => {
      try {
        set({ engine: await client.call('engine.restart', {}) });
      } catch (error) {
        notices.getState().error(error);
      }
    },
    setApiKey: async (key) => {
      try {
        set({ api: await client.call('api.setKey', { key }) });
      } catch (error) {
        notices.getState().error(error);
      }
    },
    setConnection: (connection) => set({ connection }),
  }));
  client.on('engine.changed', (engine) => {
    const before = store.getState().engine?.state;
    store.setState({ engine });
    if (engine.state !== 'ready' || before === 'ready' || !before) return;
    void store.getState().fetchDevices();
    if (before !== 'starting') notices.getState().show({ tone: 'good', title: 'The engine is running again.' });
  });
  client.on('devices.changed', () => void store.getState().fetchDevices());
  client.on('api.changed', (api) => store.setState({ api }));
  return store;
}
