// chats.*: the list of conversations and their settings, search, import and export.
import type { Chat, ChatSummary, Handlers, Publish, Result } from '../contract/index.ts';
import type { Announce } from './announce.ts';
import type { KeyedQueue } from './keyed-queue.ts';
import type { Presets } from './presets.ts';
import { insertChat, insertMessage, type StoredChat, updateChat } from './records.ts';
import type { Replies } from './replies.ts';
import { type ChatStore, messageNotFound } from './store.ts';
import { UNTITLED } from './title.ts';
import { exportFileName } from './transfer/file-name.ts';
import { exportJson, importJson } from './transfer/json.ts';
import { exportMarkdown, importMarkdown } from './transfer/markdown.ts';
import { newestLeafUnder, pathTo } from './tree.ts';

export type ChatsMethod = 'chats.list' | 'chats.create' | 'chats.get' | 'chats.update' | 'chats.delete' | 'chats.export' | 'chats.import';
type Update = Parameters<Handlers<'chats.update'>['chats.update']>[0];
type Create = Parameters<Handlers<'chats.create'>['chats.create']>[0];

export interface ChatsParts {
  store: ChatStore;
  presets: Presets;
  replies: Replies;
  /** one change of a chat at a time */
  changes: KeyedQueue;
  publish: Publish;
  announce: Announce;
  now(): number;
  createId(): string;
}

export class Chats {
  readonly #parts: ChatsParts;

  constructor(parts: ChatsParts) {
    this.#parts = parts;
  }

  readonly handlers: Handlers<ChatsMethod> = {
    'chats.list': ({ query }) => (query === undefined ? this.#parts.store.summaries() : this.#parts.store.search(query)),
    'chats.create': (values) => this.#create(values),
    'chats.get': ({ id }) => this.#get(id),
    'chats.update': (change) => this.#parts.changes.run(change.id, () => this.#update(change)),
    'chats.delete': ({ id }) => this.#parts.changes.run(id, () => this.#delete(id)),
    'chats.export': ({ id, format }) => this.#export(id, format),
    'chats.import': ({ format, content }) => this.#import(format, content),
  };

  async #get(id: string): Promise<Chat> {
    const { titleByUser: _, ...chat } = await this.#parts.store.chat(id);
    return { ...chat, messages: chat.messages.map((message) => this.#parts.replies.current(message)) };
  }

  async #create({ title, modelId, systemPrompt, presetId }: Create): Promise<Chat> {
    const { store, presets, announce, createId, now } = this.#parts;
    if (presetId !== undefined) await presets.get(presetId);
    const chat: StoredChat = {
      id: createId(),
      title: title ?? UNTITLED,
      titleByUser: title !== undefined,
      modelId: modelId ?? null,
      systemPrompt: systemPrompt ?? '',
      parameters: {},
      presetId: presetId ?? null,
      leafId: null,
      messageCount: 0,
      messages: [],
      createdAt: now(),
      updatedAt: now(),
    };
    await store.write(insertChat(chat));
    await announce([], chat.id);
    return this.#get(chat.id);
  }

  async #update({ id, title, modelId, systemPrompt, parameters, presetId, leafId }: Update): Promise<Chat> {
    const { store, presets, announce } = this.#parts;
    const chat = await store.chat(id);
    if (leafId !== undefined && !chat.messages.some((message) => message.id === leafId)) throw messageNotFound(leafId);
    if (presetId !== undefined && presetId !== null) await presets.get(presetId);
    const changed: StoredChat = {
      ...chat,
      title: title ?? chat.title,
      titleByUser: title !== undefined || chat.titleByUser,
      modelId: modelId === undefined ? chat.modelId : modelId,
      systemPrompt: systemPrompt ?? chat.systemPrompt,
      parameters: parameters ?? chat.parameters,
      presetId: presetId === undefined ? chat.presetId : presetId,
      leafId: leafId === undefined ? chat.leafId : newestLeafUnder(chat.messages, leafId),
    };
    await store.write(updateChat(changed));
    await announce([], id);
    return this.#get(id);
  }

  async #delete(id: string): Promise<Record<string, never>> {
    await this.#parts.replies.stopChat(id);
    await this.#parts.store.deleteChat(id);
    this.#parts.publish('chats.removed', { id });
    return {};
  }

  async #export(id: string, format: 'json' | 'markdown'): Promise<Result<'chats.export'>> {
    const chat = await this.#get(id);
    if (format === 'json') return { fileName: exportFileName(chat.title, 'json'), content: exportJson([chat]) };
    return { fileName: exportFileName(chat.title, 'md'), content: exportMarkdown({ ...chat, messages: pathTo(chat.messages, chat.leafId) }) };
  }

  /** All of the file or nothing. */
  async #import(format: 'json' | 'markdown', content: string): Promise<ChatSummary[]> {
    const { store, presets, announce, createId, now } = this.#parts;
    const presetIds = new Set((await presets.list()).map((preset) => preset.id));
    const identity = { createId, now, presetIds };
    const chats = format === 'json' ? importJson(content, identity) : importMarkdown(content, identity);
    await store.write(...chats.flatMap((chat) => [insertChat(chat), ...chat.messages.map(insertMessage)]));
    const summaries = await Promise.all(chats.map((chat) => announce([], chat.id)));
    return summaries.filter((summary) => summary !== undefined);
  }
}
