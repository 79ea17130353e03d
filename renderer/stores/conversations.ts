// The conversations that have been opened in this window: trees of messages, kept equal to the core's by its events.
import { createStore, type StoreApi } from 'zustand/vanilla';
import { type Chat, type CoreClient, type ErrorBody, type Message, type Parameters, toErrorBody } from '../../main/contract/index.ts';
import { createLiveStore, type LiveState } from './live.ts';
import type { NoticesState } from './notices.ts';
import { pathTo, siblingsOfAll } from './tree.ts';

export interface Conversation {
  chat: Omit<Chat, 'messages'>;
  messages: ReadonlyMap<string, Message>;
  /** ids of the shown branch, root first; the same array until it changes */
  path: readonly string[];
  siblings: ReadonlyMap<string, readonly string[]>;
}

type Update = Omit<Parameters<'chats.update'>, 'id'>;
type Sent = { userMessage: Message | null; assistantMessage: Message };

export interface ConversationsState {
  conversations: Readonly<Record<string, Conversation>>;
  /** why a conversation could not be opened */
  errors: Readonly<Record<string, ErrorBody>>;
  /** fetches it, unless it is here */
  open(id: string): Promise<void>;
  /** fetches it again */
  refetch(id: string): Promise<void>;
  refetchAll(): Promise<void>;
  create(parameters: Parameters<'chats.create'>, update: Update): Promise<Conversation | null>;
  update(id: string, update: Update): Promise<void>;
  /** the following answer true when the core took it, and show the error otherwise */
  send(chatId: string, text: string): Promise<boolean>;
  edit(messageId: string, text: string): Promise<boolean>;
  regenerate(messageId: string): Promise<boolean>;
  continueMessage(messageId: string): Promise<boolean>;
  stop(messageId: string): Promise<void>;
  deleteMessage(messageId: string): Promise<void>;
}

export interface ConversationStores {
  conversations: StoreApi<ConversationsState>;
  live: StoreApi<LiveState>;
}

export function createConversationStores(client: CoreClient, notices: StoreApi<NoticesState>): ConversationStores {
  const fail = (error: unknown) => notices.getState().error(error);
  const live = createLiveStore(client, (chatId) => void conversations.getState().refetch(chatId).catch(fail));
  const conversations = createStore<ConversationsState>()((set, get) => {
    const put = (chat: Chat) => {
      set((state) => ({ conversations: { ...state.conversations, [chat.id]: fromChat(chat, state.conversations[chat.id]) } }));
      for (const message of chat.messages) followStream(live, message);
    };
    const sent = async (call: () => Promise<Sent>): Promise<boolean> => {
      // What an event has said about a message is at least as new as the answer.
      const heard = new Set<string>();
      const unsubscribe = client.on('chat.message', (message) => heard.add(message.id));
      try {
        const { userMessage, assistantMessage } = await call();
        for (const message of [userMessage, assistantMessage]) {
          if (!message || heard.has(message.id)) continue;
          upsertMessage(conversations, message);
          followStream(live, message);
        }
        showLeaf(conversations, assistantMessage);
        return true;
      } catch (error) {
        fail(error);
        return false;
      } finally {
        unsubscribe();
      }
    };
    return {
      conversations: {},
      errors: {},
      open: async (id) => {
        if (!get().conversations[id]) await get().refetch(id);
      },
      refetch: async (id) => {
        try {
          put(await client.call('chats.get', { id }));
          set(({ errors: { [id]: _gone, ...errors } }) => ({ errors }));
        } catch (error) {
          set((state) => ({ errors: { ...state.errors, [id]: toErrorBody(error) } }));
        }
      },
      refetchAll: async () => {
        live.getState().clear();
        await Promise.all(Object.keys(get().conversations).map((id) => get().refetch(id)));
      },
      create: async (parameters, update) => {
        try {
          const chat = await client.call('chats.create', parameters);
          put(Object.keys(update).length === 0 ? chat : await client.call('chats.update', { id: chat.id, ...update }));
          return get().conversations[chat.id] ?? null;
        } catch (error) {
          fail(error);
          return null;
        }
      },
      update: async (id, update) => {
        await client.call('chats.update', { id, ...update }).then(put, fail);
      },
      send: (chatId, text) => sent(() => client.call('chat.send', { chatId, text })),
      edit: (messageId, text) => sent(() => client.call('chat.edit', { messageId, text })),
      regenerate: (messageId) => sent(() => client.call('chat.regenerate', { messageId })),
      continueMessage: (messageId) => sent(() => client.call('chat.continue', { messageId })),
      stop: async (messageId) => {
        await client.call('chat.stop', { messageId }).then((message) => upsertMessage(conversations, message), fail);
      },
      deleteMessage: async (messageId) => {
        await client.call('chat.deleteMessage', { messageId }).then(put, fail);
      },
    };
  });
  followEvents(client, conversations, live);
  return { conversations, live };
}

function followEvents(client: CoreClient, conversations: StoreApi<ConversationsState>, live: StoreApi<LiveState>): void {
  client.on('chat.message', (message) => {
    live.getState().flush();
    // The message first: if the stream ended first, a frame could show the text of before.
    upsertMessage(conversations, message);
    if (conversations.getState().conversations[message.chatId] || message.state !== 'streaming') followStream(live, message);
  });
  client.on('chats.changed', ({ id, title, modelId, updatedAt }) => {
    conversations.setState((state) => {
      const conversation = state.conversations[id];
      if (!conversation) return state;
      return { conversations: { ...state.conversations, [id]: { ...conversation, chat: { ...conversation.chat, title, modelId, updatedAt } } } };
    });
  });
  client.on('chats.removed', ({ id }) => {
    conversations.setState(({ conversations: { [id]: _removed, ...rest } }) => ({ conversations: rest }));
  });
}

function followStream(live: StoreApi<LiveState>, message: Message): void {
  if (message.state === 'streaming') live.getState().begin(message);
  else if (live.getState().replies[message.id]) live.getState().end(message.id);
}

function fromChat({ messages, ...chat }: Chat, before: Conversation | undefined): Conversation {
  return shaped(chat, new Map(messages.map((message) => [message.id, message])), before);
}

/** A conversation whose path keeps its identity if it holds the same messages, so that the list isn't drawn again. */
function shaped(chat: Omit<Chat, 'messages'>, messages: Conversation['messages'], before: Conversation | undefined): Conversation {
  const path = pathTo(messages, chat.leafId);
  const same = before && before.path.length === path.length && path.every((id, index) => before.path[index] === id);
  return { chat, messages, path: same ? before.path : path, siblings: siblingsOfAll(messages) };
}

/** A message as the core has it now. A new one below the shown leaf becomes the leaf. */
function upsertMessage(conversations: StoreApi<ConversationsState>, message: Message): void {
  conversations.setState((state) => {
    const conversation = state.conversations[message.chatId];
    if (!conversation) return state;
    const isNew = !conversation.messages.has(message.id);
    const messages = new Map(conversation.messages).set(message.id, message);
    const follows = isNew && message.parentId === conversation.chat.leafId;
    const chat = follows ? { ...conversation.chat, leafId: message.id } : conversation.chat;
    const next = isNew ? shaped(chat, messages, conversation) : { ...conversation, messages };
    return { conversations: { ...state.conversations, [message.chatId]: next } };
  });
}

/** Shows the branch that ends in this message. */
function showLeaf(conversations: StoreApi<ConversationsState>, message: Message): void {
  conversations.setState((state) => {
    const conversation = state.conversations[message.chatId];
    if (!conversation) return state;
    const chat = { ...conversation.chat, leafId: message.id };
    return { conversations: { ...state.conversations, [message.chatId]: shaped(chat, conversation.messages, conversation) } };
  });
}
