// One reply being written: asks for it, streams it to the UI, saves it, and brings it to its final state.
import { type GenerationParameters, type Message, type Publish, toErrorBody } from '../contract/index.ts';
import type { TokenPiece } from '../engine/engine.ts';
import type { Generation, GenerationRequest, Generations, LoadedModels } from '../generation/generation.ts';
import type { Warn } from './announce.ts';
import { broken, cancelled, ended } from './ending.ts';
import { Pace } from './pace.ts';
import { chatInput, firstPrompt } from './prompt.ts';
import type { ChatStore } from './store.ts';

/** ms; timers may fire up to 1 ms early, and the contract allows 60 a second */
const DELTA_INTERVAL = 18;
/** ms; at most so much of a reply is lost when the app is killed */
const SAVE_INTERVAL = 500;

export interface ReplyParts {
  generations: Generations;
  models: LoadedModels;
  publish: Publish;
  store: ChatStore;
  recordRoutes(): boolean;
  now(): number;
  warn: Warn;
}

export interface ReplyPlan {
  /** as stored, state `streaming`; its text, if any, is what the reply goes on from */
  message: Message;
  modelId: string;
  /** of the chat, else of its preset; empty: the model's own */
  systemPrompt: string;
  /** of the preset and the chat */
  parameters: GenerationParameters;
  /** root first, up to the message to answer; when going on, the message itself comes last */
  path: Message[];
}

export interface FinishedReply {
  message: Message;
  /** false: the database did not take it; why is in the message's error */
  stored: boolean;
}

export class Reply {
  /** Never rejects. */
  readonly finished: Promise<FinishedReply>;
  readonly #parts: ReplyParts;
  readonly #plan: ReplyPlan;
  readonly #routes: boolean;
  readonly #abort = new AbortController();
  readonly #deltas = new Pace(DELTA_INTERVAL, () => this.#sendDelta());
  readonly #saves = new Pace(SAVE_INTERVAL, () => this.#save());
  #text: string;
  /** length of what the UI has */
  #sent: number;
  /** length of what the database has */
  #saved: number;
  #saving = false;
  #tokens = 0;
  #firstTokenAt = 0;
  #over = false;

  constructor(parts: ReplyParts, plan: ReplyPlan) {
    this.#parts = parts;
    this.#plan = plan;
    this.#routes = parts.recordRoutes();
    this.#text = plan.message.text;
    this.#sent = this.#text.length;
    this.#saved = this.#text.length;
    this.finished = this.#run();
  }

  get chatId(): string {
    return this.#plan.message.chatId;
  }

  get messageId(): string {
    return this.#plan.message.id;
  }

  /** The message as the UI has it by now; the next delta's offset is the length of its text. */
  get message(): Message {
    return { ...this.#plan.message, text: this.#text.slice(0, this.#sent) };
  }

  /** Idempotent; `finished` tells when it has had effect. */
  cancel(): void {
    this.#abort.abort(cancelled());
  }

  async #run(): Promise<FinishedReply> {
    const { message } = this.#plan;
    let final: Message;
    try {
      const generation = await this.#start();
      final = ended(message, await generation.done);
    } catch (error) {
      final = broken(message, this.#text, error);
    }
    this.#over = true;
    this.#deltas.stop();
    this.#saves.stop();
    return this.#store({ ...final, hasRoutes: message.hasRoutes || (this.#routes && this.#tokens > 0) });
  }

  async #start(): Promise<Generation> {
    const { signal } = this.#abort;
    const { generations, models } = this.#parts;
    const { card } = await models.acquire(this.#plan.modelId, signal);
    signal.throwIfAborted();
    const generation = generations.start(this.#request(card.defaults.systemPrompt), {
      onTokens: (tokens) => this.#receive(tokens),
      onPromptProgress: (fraction) => this.#progress(fraction),
    });
    signal.addEventListener('abort', () => generation.cancel(), { once: true });
    return generation;
  }

  /** Model defaults of sampling and length are the generation service's business: they hold for the HTTP endpoint too. */
  #request(modelPrompt: string | undefined): GenerationRequest {
    const { message, modelId, path, parameters } = this.#plan;
    const systemPrompt = firstPrompt(this.#plan.systemPrompt, modelPrompt);
    return {
      ...parameters,
      modelId,
      adapters: message.adapters.map(({ id, scale }) => ({ id, scale })),
      input: { chat: chatInput(systemPrompt, path, message.text !== '') },
      cacheKey: message.chatId,
      chatId: message.chatId,
      messageId: message.id,
      routes: this.#routes,
    };
  }

  #receive(pieces: TokenPiece[]): void {
    if (this.#over || pieces.length === 0) return;
    if (this.#tokens === 0) this.#firstTokenAt = performance.now();
    this.#tokens += pieces.length;
    this.#text += pieces.map((piece) => piece.text).join('');
    this.#deltas.poke();
    this.#saves.poke();
  }

  #progress(fraction: number): void {
    if (!this.#over) this.#parts.publish('chat.progress', { chatId: this.chatId, messageId: this.messageId, fraction });
  }

  #sendDelta(): void {
    const text = this.#text.slice(this.#sent);
    if (text === '') return;
    const seconds = (performance.now() - this.#firstTokenAt) / 1000;
    const tokensPerSecond = this.#tokens > 1 && seconds > 0 ? (this.#tokens - 1) / seconds : 0;
    const offset = this.#sent;
    this.#sent = this.#text.length;
    this.#parts.publish('chat.delta', { chatId: this.chatId, messageId: this.messageId, offset, text, tokens: this.#tokens, tokensPerSecond });
  }

  /** One at a time: a slow disk must not pile up writes. A failed one is tried again with the next text, and at the end. */
  #save(): void {
    if (this.#saving || this.#saved === this.#text.length) return;
    this.#saving = true;
    const length = this.#text.length;
    this.#parts.store
      .saveText(this.messageId, this.#text)
      .then(() => {
        this.#saved = length;
      })
      .catch((error: unknown) => this.#parts.warn('a reply could not be saved while it streams', error))
      .finally(() => {
        this.#saving = false;
        if (!this.#over && this.#text.length > length) this.#saves.poke();
      });
  }

  async #store(message: Message): Promise<FinishedReply> {
    try {
      await this.#parts.store.saveFinal(message, this.#parts.now());
      return { message, stored: true };
    } catch (error) {
      this.#parts.warn('a reply could not be saved at its end', error);
      return { message: { ...message, state: message.text === '' ? 'failed' : 'interrupted', error: toErrorBody(error) }, stored: false };
    }
  }
}
