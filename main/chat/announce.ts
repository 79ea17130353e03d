import { type ChatSummary, type Message, type Publish, toErrorBody } from '../contract/index.ts';
import type { ChatStore } from './store.ts';

/** Publishes messages, then the chat's summary, which it gives back; undefined if the chat is gone. Never rejects: what it tells of is stored. */
export type Announce = (messages: readonly Message[], chatId: string) => Promise<ChatSummary | undefined>;

export function createAnnounce(store: ChatStore, publish: Publish, warn: Warn): Announce {
  return async (messages, chatId) => {
    for (const message of messages) publish('chat.message', message);
    try {
      const summary = await store.summary(chatId);
      if (summary !== undefined) publish('chats.changed', summary);
      return summary;
    } catch (error) {
      warn('a changed conversation could not be announced', error);
      return undefined;
    }
  };
}

export type Warn = (message: string, error: unknown) => void;

export function createWarn(logger: { warn(details: object, message: string): void } | undefined): Warn {
  return (message, error) => logger?.warn({ error: toErrorBody(error) }, message);
}
