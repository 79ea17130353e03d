import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { ErrorBody, Handlers, Publish } from '../contract/index.ts';
import type { AdapterUses, Generations, LoadedModels } from '../generation/generation.ts';
import type { Database } from '../storage/database.ts';
import { createAnnounce, createWarn } from './announce.ts';
import { Chats, type ChatsMethod } from './chats.ts';
import { KeyedQueue } from './keyed-queue.ts';
import { type PresetMethod, Presets } from './presets.ts';
import { Replies } from './replies.ts';
import { ChatStore } from './store.ts';
import { type TurnMethod, Turns } from './turns.ts';

export interface ChatServiceParts {
  database: Database;
  generations: Generations;
  models: LoadedModels;
  adapters: Pick<AdapterUses, 'chosen'>;
  publish: Publish;
  /** the setting: ask for token-level routes of new replies */
  recordRoutes(): boolean;
  logger?: Pick<Logger, 'info' | 'warn'>;
  /** ms since 1970 */
  now?(): number;
  /** unique over all tables */
  createId?(): string;
}

const appEnded: ErrorBody = {
  code: 'engine.died',
  message: 'Moebius ended while this reply was being written; the text up to then was kept. Continue or regenerate it.',
};

/** Conversations and presets. Call `start` once before anything else and `dispose` before the database is closed. */
export class ChatService {
  readonly handlers: Handlers<ChatsMethod | TurnMethod | PresetMethod>;
  readonly #store: ChatStore;
  readonly #replies: Replies;
  readonly #parts: ChatServiceParts;

  constructor(parts: ChatServiceParts) {
    const { database, generations, models, adapters, publish, logger, now = Date.now, createId = randomUUID } = parts;
    this.#parts = parts;
    this.#store = new ChatStore(database);
    const store = this.#store;
    const presets = new Presets({ database, now, createId });
    const warn = createWarn(logger);
    const announce = createAnnounce(store, publish, warn);
    const replies = new Replies({ generations, models, publish, store, recordRoutes: () => parts.recordRoutes(), now, warn }, announce);
    this.#replies = replies;
    const shared = { store, presets, replies, changes: new KeyedQueue(), models, adapters, publish, announce, now, createId };
    this.handlers = { ...new Chats(shared).handlers, ...new Turns(shared).handlers, ...presets.handlers };
  }

  /** Replies that were being written when the app last ended become `interrupted`. */
  async start(): Promise<void> {
    const count = await this.#store.interruptStreaming(appEnded);
    if (count > 0) this.#parts.logger?.warn({ count }, 'replies were interrupted when the app last ended');
  }

  /** Stops every reply and waits until it is stored. Idempotent. */
  async dispose(): Promise<void> {
    await this.#replies.stopAll();
  }
}
