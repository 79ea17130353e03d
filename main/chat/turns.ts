// chat.*: everything that makes the conversation go on. Each call first stores what it promises, then the reply begins.
import { type Handlers, type Message, MoebiusError, type Result } from '../contract/index.ts';
import type { AdapterUses, LoadedModels } from '../generation/generation.ts';
import type { Announce } from './announce.ts';
import type { KeyedQueue } from './keyed-queue.ts';
import { newMessage } from './message.ts';
import type { Presets } from './presets.ts';
import { firstPrompt, mergeParameters } from './prompt.ts';
import { insertMessage, type StoredChat, updateChat, updateMessage } from './records.ts';
import type { Replies } from './replies.ts';
import type { ReplyPlan } from './reply.ts';
import { type ChatStore, deleteMessages, messageNotFound } from './store.ts';
import { titleOf } from './title.ts';
import { leafWithout, pathTo, subtreeOf } from './tree.ts';

export type TurnMethod = 'chat.send' | 'chat.edit' | 'chat.regenerate' | 'chat.continue' | 'chat.stop' | 'chat.deleteMessage';
type Sent = Result<'chat.send'>;

export interface TurnParts {
  store: ChatStore;
  presets: Presets;
  replies: Replies;
  /** one change of a chat at a time */
  changes: KeyedQueue;
  models: LoadedModels;
  adapters: Pick<AdapterUses, 'chosen'>;
  announce: Announce;
  now(): number;
  createId(): string;
}

export class Turns {
  readonly #parts: TurnParts;

  constructor(parts: TurnParts) {
    this.#parts = parts;
  }

  readonly handlers: Handlers<TurnMethod> = {
    'chat.send': ({ chatId, text, parentId }) => this.#inChat(chatId, (chat) => this.#say(chat, parentId === undefined ? chat.leafId : parentId, text)),
    'chat.edit': ({ messageId, text }) => this.#atMessage(messageId, (chat, message) => this.#edit(chat, message, text)),
    'chat.regenerate': ({ messageId }) => this.#atMessage(messageId, (chat, message) => this.#regenerate(chat, message)),
    'chat.continue': ({ messageId }) => this.#atMessage(messageId, (chat, message) => this.#goOn(chat, message)),
    'chat.stop': ({ messageId }) => this.#stop(messageId),
    'chat.deleteMessage': ({ messageId }) => this.#deleteMessage(messageId),
  };

  /** Runs `turn` when the chat's earlier changes are done; refuses while a reply is written. */
  #inChat(chatId: string, turn: (chat: StoredChat) => Promise<Sent>): Promise<Sent> {
    return this.#parts.changes.run(chatId, async () => {
      this.#parts.replies.refuseIfBusy(chatId);
      return turn(await this.#parts.store.chat(chatId));
    });
  }

  async #atMessage(messageId: string, turn: (chat: StoredChat, message: Message) => Promise<Sent>): Promise<Sent> {
    const { chatId } = await this.#parts.store.message(messageId);
    return this.#inChat(chatId, (chat) => turn(chat, findMessage(chat, messageId)));
  }

  async #say(chat: StoredChat, parentId: string | null, text: string): Promise<Sent> {
    if (parentId !== null) findMessage(chat, parentId);
    const user = this.#newMessage(chat, { parentId, role: 'user', text });
    return this.#answer(chat, user, user.id);
  }

  async #edit(chat: StoredChat, message: Message, text: string): Promise<Sent> {
    if (message.role !== 'user')
      throw new MoebiusError('request.invalid', 'Only your own messages can be edited; regenerate a reply instead.', { details: { messageId: message.id } });
    return this.#say(chat, message.parentId, text);
  }

  /** Of a user message: a (further) reply to it. */
  async #regenerate(chat: StoredChat, message: Message): Promise<Sent> {
    const questionId = message.role === 'user' ? message.id : message.parentId;
    if (questionId === null)
      throw new MoebiusError('request.invalid', 'This reply begins the conversation: there is no message to answer again.', {
        details: { messageId: message.id },
      });
    return this.#answer(chat, null, questionId);
  }

  async #answer(chat: StoredChat, userMessage: Message | null, questionId: string): Promise<Sent> {
    const modelId = this.#modelOf(chat);
    const reply = this.#newMessage(chat, { parentId: questionId, role: 'assistant', text: '', state: 'streaming', modelId });
    const plan = await this.#plan(chat, reply, pathTo(userMessage === null ? chat.messages : [...chat.messages, userMessage], questionId));
    const assistantMessage = plan.message;
    const added = userMessage === null ? [assistantMessage] : [userMessage, assistantMessage];
    const title = userMessage?.parentId === null && !chat.titleByUser ? titleOf(userMessage.text) : chat.title;
    const changed = { ...chat, title, leafId: assistantMessage.id, updatedAt: this.#parts.now() };
    await this.#parts.store.write(...added.map(insertMessage), updateChat(changed));
    await this.#begin(plan, added);
    return { userMessage, assistantMessage };
  }

  async #goOn(chat: StoredChat, message: Message): Promise<Sent> {
    const { id, parentId } = message;
    if (message.role !== 'assistant') throw new MoebiusError('request.invalid', 'Only a reply can be continued.', { details: { messageId: id } });
    if (chat.messages.some((other) => other.parentId === id)) {
      throw new MoebiusError('request.invalid', 'This reply has been answered already: regenerate it, or continue the last one.', {
        details: { messageId: id },
      });
    }
    const reply: Message = { ...message, state: 'streaming', finishReason: null, error: null, modelId: this.#modelOf(chat) };
    const path = pathTo(chat.messages, message.text === '' ? parentId : id);
    const plan = await this.#plan(chat, reply, path);
    const assistantMessage = plan.message;
    await this.#parts.store.write(updateMessage(assistantMessage), updateChat({ ...chat, leafId: id, updatedAt: this.#parts.now() }));
    await this.#begin(plan, [assistantMessage]);
    return { userMessage: null, assistantMessage };
  }

  async #plan(chat: StoredChat, message: Message, path: Message[]): Promise<ReplyPlan> {
    const preset = chat.presetId === null ? undefined : await this.#parts.presets.find(chat.presetId);
    const modelId = this.#modelOf(message);
    const parameters = mergeParameters(preset?.parameters ?? {}, chat.parameters);
    return {
      message: { ...message, adapters: this.#parts.adapters.chosen(modelId, parameters.adapters) },
      modelId,
      systemPrompt: firstPrompt(chat.systemPrompt, preset?.systemPrompt),
      parameters,
      path,
    };
  }

  /** Everything is stored by now. The reply begins last, so that the call is answered before the reply can end. */
  async #begin(plan: ReplyPlan, announced: Message[]): Promise<void> {
    await this.#parts.announce(announced, plan.message.chatId);
    this.#parts.replies.begin(plan);
  }

  async #stop(messageId: string): Promise<Message> {
    const stopped = await this.#parts.replies.stop(messageId);
    return stopped ?? this.#parts.replies.current(await this.#parts.store.message(messageId));
  }

  async #deleteMessage(messageId: string): Promise<Result<'chat.deleteMessage'>> {
    const { store, replies, changes, announce } = this.#parts;
    const { chatId } = await store.message(messageId);
    return changes.run(chatId, async () => {
      const chat = await store.chat(chatId);
      const removed = subtreeOf(chat.messages, findMessage(chat, messageId).id);
      const written = replies.messageOf(chatId);
      if (written !== undefined && removed.has(written)) await replies.stop(written);
      await store.write(deleteMessages(removed), updateChat({ ...chat, leafId: leafWithout(chat.messages, chat.leafId, removed) }));
      await announce([], chatId);
      const { titleByUser: _, ...left } = await store.chat(chatId);
      return { ...left, messages: left.messages.map((message) => replies.current(message)) };
    });
  }

  /** The chat's own, else the one loaded last. */
  #modelOf({ modelId }: { modelId: string | null }): string {
    const id = modelId ?? this.#parts.models.loadedIds()[0];
    if (id === undefined) throw new MoebiusError('model.not-loaded', 'No model is loaded. Load one on the Models page, then try again.');
    return id;
  }

  #newMessage(chat: StoredChat, values: Pick<Message, 'parentId' | 'role' | 'text'> & Partial<Message>): Message {
    return newMessage({ id: this.#parts.createId(), chatId: chat.id, createdAt: this.#parts.now(), ...values });
  }
}

function findMessage(chat: StoredChat, messageId: string): Message {
  const message = chat.messages.find((candidate) => candidate.id === messageId);
  if (message === undefined) throw messageNotFound(messageId);
  return message;
}
