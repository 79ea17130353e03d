// All state of the window, made once from a CoreClient; components take it from React's context.
import { createContext, type ReactNode, useContext, useEffect } from 'react';
import { useStore } from 'zustand';
import type { StoreApi } from 'zustand/vanilla';
import type { CoreClient } from '../../main/contract/index.ts';
import { UsageHub } from '../experts/usage-hub.ts';
import { type AdaptersState, createAdaptersStore } from './adapters.ts';
import { type AppState, createAppStore } from './app.ts';
import { type ChatsState, createChatsStore } from './chats.ts';
import { type Command, type CommandsState, createCommandsStore } from './commands.ts';
import { type ConversationsState, createConversationStores } from './conversations.ts';
import { createDraftStore, type DraftState } from './draft.ts';
import { errorHelp } from './error-help.ts';
import { createLayoutsStore, type LayoutsState } from './layouts.ts';
import type { LiveState } from './live.ts';
import { createModelsStore, type ModelsState } from './models.ts';
import { createNoticesStore, type NoticesState } from './notices.ts';
import { createSettingsStore, type SettingsState } from './settings.ts';
import { createTrainingStore, type TrainingState } from './training.ts';

export interface Stores {
  client: CoreClient;
  app: StoreApi<AppState>;
  settings: StoreApi<SettingsState>;
  models: StoreApi<ModelsState>;
  adapters: StoreApi<AdaptersState>;
  chats: StoreApi<ChatsState>;
  conversations: StoreApi<ConversationsState>;
  live: StoreApi<LiveState>;
  draft: StoreApi<DraftState>;
  layouts: StoreApi<LayoutsState>;
  training: StoreApi<TrainingState>;
  notices: StoreApi<NoticesState>;
  commands: StoreApi<CommandsState>;
  /** live expert counters; no store, since they change 30 times a second and are read by canvases */
  usage: UsageHub;
}

/** seconds in which a live expert counter fades by half */
const DEFAULT_HALF_LIFE = 8;

/** Stores that fetch at once and after every reconnect. */
export function createStores(client: CoreClient): Stores {
  const notices: StoreApi<NoticesState> = createNoticesStore((error) => errorHelp(error, stores));
  const models = createModelsStore(client, notices);
  const adapters = createAdaptersStore(client, notices);
  const chats = createChatsStore(client, notices);
  const settings = createSettingsStore(client, notices);
  const app = createAppStore(client, notices);
  const commands = createCommandsStore();
  const draft = createDraftStore();
  const stores: Stores = {
    client,
    app,
    settings,
    models,
    adapters,
    chats,
    notices,
    commands,
    draft,
    layouts: createLayoutsStore(client, notices),
    training: createTrainingStore(client, notices),
    usage: new UsageHub(client, DEFAULT_HALF_LIFE),
    ...createConversationStores(client, notices),
  };
  client.onConnection((connected) => {
    const before = app.getState().connection;
    if (!connected) {
      if (before === 'connected') app.getState().setConnection('lost');
      return;
    }
    app.getState().setConnection('connected');
    void fetchAll(stores);
  });
  return stores;
}

async function fetchAll(stores: Stores): Promise<void> {
  const all = [stores.settings, stores.app, stores.models, stores.adapters, stores.chats, stores.training].map((store) => store.getState().fetch());
  const results = await Promise.allSettled([...all, stores.conversations.getState().refetchAll()]);
  for (const result of results) if (result.status === 'rejected') stores.notices.getState().error(result.reason);
}

const Context = createContext<Stores | null>(null);

export function StoresProvider({ stores, children }: { stores: Stores; children: ReactNode }) {
  return <Context.Provider value={stores}>{children}</Context.Provider>;
}

/** The stores themselves, for actions: `useStores().models.getState().load(id)`. */
export function useStores(): Stores {
  const stores = useContext(Context);
  if (!stores) throw new Error('useStores outside StoresProvider');
  return stores;
}

// One hook a store. A selector must give back the same value for the same state: no new objects, arrays or functions.
export const useApp = <T,>(selector: (state: AppState) => T): T => useStore(useStores().app, selector);
export const useSettings = <T,>(selector: (state: SettingsState) => T): T => useStore(useStores().settings, selector);
export const useModels = <T,>(selector: (state: ModelsState) => T): T => useStore(useStores().models, selector);
export const useAdapters = <T,>(selector: (state: AdaptersState) => T): T => useStore(useStores().adapters, selector);
export const useChats = <T,>(selector: (state: ChatsState) => T): T => useStore(useStores().chats, selector);
export const useConversations = <T,>(selector: (state: ConversationsState) => T): T => useStore(useStores().conversations, selector);
export const useLive = <T,>(selector: (state: LiveState) => T): T => useStore(useStores().live, selector);
export const useDraft = <T,>(selector: (state: DraftState) => T): T => useStore(useStores().draft, selector);
export const useLayouts = <T,>(selector: (state: LayoutsState) => T): T => useStore(useStores().layouts, selector);
export const useTraining = <T,>(selector: (state: TrainingState) => T): T => useStore(useStores().training, selector);
export const useNotices = <T,>(selector: (state: NoticesState) => T): T => useStore(useStores().notices, selector);
export const useCommandList = (): Command[] => useStore(useStores().commands, (state) => state.commands);

/** Puts commands in the palette and on the keyboard while the component is shown. Memoise the list. */
export function useCommands(commands: readonly Command[]): void {
  const store = useStores().commands;
  useEffect(() => store.getState().register(commands), [store, commands]);
}
