// Replies that are being written. Kept apart from the messages, so that a token touches one row and not the conversation.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { CoreClient, EventPayload, Message } from '../../main/contract/index.ts';
import { applyDelta, createFrameScheduler, longerText } from './deltas.ts';

export interface LiveReply {
  chatId: string;
  /** null: the conversation isn't open here, only the figures are followed */
  text: string | null;
  tokens: number;
  tokensPerSecond: number;
  /** of the prompt that has been evaluated; null once the reply has begun */
  promptFraction: number | null;
}

export interface LiveState {
  replies: Readonly<Record<string, LiveReply>>;
  /** a message that streams, as the core gave it */
  begin(message: Message): void;
  end(messageId: string): void;
  /** everything that streams has ended or is unknown: after a lost connection */
  clear(): void;
  /** applies what has come in since the last frame, now */
  flush(): void;
}

type Delta = EventPayload<'chat.delta'>;

/** `onGap` is called when text is missing: the message must be fetched again and given to `begin`. */
export function createLiveStore(client: CoreClient, onGap: (chatId: string) => void): StoreApi<LiveState> {
  let queue: Delta[] = [];
  /** deltas that came after a gap, until the message has been fetched */
  const early = new Map<string, Delta[]>();

  const apply = (reply: LiveReply | undefined, delta: Delta): LiveReply => {
    const figures = { chatId: delta.chatId, tokens: delta.tokens, tokensPerSecond: delta.tokensPerSecond, promptFraction: null };
    const before = reply?.text ?? null;
    if (before === null) return { ...figures, text: null };
    const text = applyDelta(before, delta);
    if (text !== null) return { ...figures, text };
    const waiting = early.get(delta.messageId);
    if (waiting) waiting.push(delta);
    else {
      early.set(delta.messageId, [delta]);
      onGap(delta.chatId);
    }
    return { ...figures, text: before };
  };

  const store = createStore<LiveState>()((set, get) => ({
    replies: {},
    begin: (message) => {
      const local = get().replies[message.id];
      const waiting = early.get(message.id) ?? [];
      early.delete(message.id);
      const text = local?.text ? longerText(local.text, message.text) : message.text;
      let reply: LiveReply = { tokens: 0, tokensPerSecond: 0, promptFraction: null, ...local, chatId: message.chatId, text };
      for (const delta of waiting) reply = apply(reply, delta);
      set({ replies: { ...get().replies, [message.id]: reply } });
    },
    end: (messageId) => {
      queue = queue.filter((delta) => delta.messageId !== messageId);
      early.delete(messageId);
      const { [messageId]: _ended, ...replies } = get().replies;
      set({ replies });
    },
    clear: () => {
      queue = [];
      early.clear();
      set({ replies: {} });
    },
    flush: () => {
      if (queue.length === 0) return;
      const deltas = queue;
      queue = [];
      const replies = { ...get().replies };
      for (const delta of deltas) replies[delta.messageId] = apply(replies[delta.messageId], delta);
      set({ replies });
    },
  }));

  const schedule = createFrameScheduler(() => store.getState().flush());
  client.on('chat.delta', (delta) => {
    queue.push(delta);
    schedule();
  });
  client.on('chat.progress', ({ chatId, messageId, fraction }) => {
    store.setState(({ replies }) => {
      const reply = replies[messageId] ?? { chatId, text: null, tokens: 0, tokensPerSecond: 0, promptFraction: 0 };
      return { replies: { ...replies, [messageId]: { ...reply, promptFraction: fraction } } };
    });
  });
  return store;
}
