// The list of conversations. What is in them: conversations.ts.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { ChatSummary, CoreClient } from '../../main/contract/index.ts';
import type { NoticesState } from './notices.ts';

export interface ChatsState {
  /** newest first; null until the core answered */
  chats: ChatSummary[] | null;
  query: string;
  /** null: no search */
  found: ChatSummary[] | null;
  fetch(): Promise<void>;
  search(query: string): Promise<void>;
  rename(id: string, title: string): Promise<void>;
  /** true: it is gone */
  remove(id: string): Promise<boolean>;
  exportChat(id: string, format: 'json' | 'markdown'): Promise<{ fileName: string; content: string } | null>;
  importChats(fileName: string, content: string): Promise<ChatSummary[]>;
}

const newestFirst = (chats: ChatSummary[]) => chats.sort((a, b) => b.updatedAt - a.updatedAt);

export function createChatsStore(client: CoreClient, notices: StoreApi<NoticesState>): StoreApi<ChatsState> {
  const fail = (error: unknown) => notices.getState().error(error);
  const store = createStore<ChatsState>()((set, get) => ({
    chats: null,
    query: '',
    found: null,
    fetch: async () => set({ chats: newestFirst(await client.call('chats.list', {})) }),
    search: async (query) => {
      set({ query });
      if (query.trim() === '') {
        set({ found: null });
        return;
      }
      try {
        const found = await client.call('chats.list', { query });
        if (get().query === query) set({ found });
      } catch (error) {
        fail(error);
      }
    },
    rename: async (id, title) => {
      await client.call('chats.update', { id, title }).catch(fail);
    },
    remove: async (id) => {
      try {
        await client.call('chats.delete', { id });
        return true;
      } catch (error) {
        fail(error);
        return false;
      }
    },
    exportChat: async (id, format) => {
      try {
        return await client.call('chats.export', { id, format });
      } catch (error) {
        fail(error);
        return null;
      }
    },
    importChats: async (fileName, content) => {
      try {
        const format = /\.json$/i.test(fileName) ? 'json' : 'markdown';
        return await client.call('chats.import', { format, content });
      } catch (error) {
        fail(error);
        return [];
      }
    },
  }));
  client.on('chats.changed', (chat) => {
    store.setState(({ chats, found }) => ({
      chats: newestFirst([...(chats ?? []).filter((other) => other.id !== chat.id), chat]),
      // The event knows no search, so the passage that was found stays.
      found: found?.map((other) => (other.id === chat.id ? { ...chat, snippet: other.snippet } : other)) ?? null,
    }));
  });
  client.on('chats.removed', ({ id }) => {
    store.setState(({ chats, found }) => ({
      chats: (chats ?? []).filter((chat) => chat.id !== id),
      found: found?.filter((chat) => chat.id !== id) ?? null,
    }));
  });
  return store;
}
