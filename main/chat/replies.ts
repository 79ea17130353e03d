import { type Message, MoebiusError } from '../contract/index.ts';
import type { Announce } from './announce.ts';
import { type FinishedReply, Reply, type ReplyParts, type ReplyPlan } from './reply.ts';

/** The replies being written, at most one a chat. */
export class Replies {
  readonly #parts: ReplyParts;
  readonly #announce: Announce;
  readonly #running = new Map<string, Reply>();
  /** ended, but the database did not take them (a full disk): shown from here until the app ends */
  readonly #unsaved = new Map<string, Message>();

  constructor(parts: ReplyParts, announce: Announce) {
    this.#parts = parts;
    this.#announce = announce;
  }

  /** Throws chat.busy while a reply is written in this chat. */
  refuseIfBusy(chatId: string): void {
    if (!this.#running.has(chatId)) return;
    throw new MoebiusError('chat.busy', 'A reply is still being written in this conversation. Wait for it or stop it first.', { details: { chatId } });
  }

  /** The plan's message must be stored. Publishes the deltas, and at the end the final message and the chat's summary. */
  begin(plan: ReplyPlan): void {
    this.#unsaved.delete(plan.message.id);
    const reply = new Reply(this.#parts, plan);
    this.#running.set(reply.chatId, reply);
    void reply.finished.then((finished) => this.#finish(finished));
  }

  /** Stops it, if it is being written, and waits for its final state. */
  async stop(messageId: string): Promise<Message | undefined> {
    const reply = [...this.#running.values()].find((candidate) => candidate.messageId === messageId);
    reply?.cancel();
    return (await reply?.finished)?.message;
  }

  async stopChat(chatId: string): Promise<void> {
    const reply = this.#running.get(chatId);
    reply?.cancel();
    await reply?.finished;
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((chatId) => this.stopChat(chatId)));
  }

  /** The message being written in this chat. */
  messageOf(chatId: string): string | undefined {
    return this.#running.get(chatId)?.messageId;
  }

  /** Call right after the message was read: the stored text of a running reply lags behind what the UI was sent. */
  current(message: Message): Message {
    const running = this.#running.get(message.chatId);
    if (running?.messageId === message.id) return running.message;
    return this.#unsaved.get(message.id) ?? message;
  }

  #finish({ message, stored }: FinishedReply): void {
    this.#running.delete(message.chatId);
    if (!stored) this.#unsaved.set(message.id, message);
    void this.#announce([message], message.chatId);
  }
}
