// A chat service over a real database, with a generator that does what the test says.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { ChatService, type ChatServiceParts } from '../../../main/chat/chat-service.ts';
import { type EventName, type EventPayload, type ModelCard, type ModelDefaults, MoebiusError } from '../../../main/contract/index.ts';
import type { Generation, GenerationHandlers, GenerationOutcome, GenerationRequest, Generations, LoadedModels } from '../../../main/generation/generation.ts';
import type { Database } from '../../../main/storage/database.ts';
import { openDatabase } from '../../../main/storage/open.ts';

/** One generation that the service asked for: the test streams into it and ends it. */
export class ScriptedGeneration implements Generation {
  readonly request: GenerationRequest;
  readonly done: Promise<GenerationOutcome>;
  cancelled = false;
  #text = '';
  #tokens = 0;
  readonly #handlers: GenerationHandlers;
  readonly #settle = Promise.withResolvers<GenerationOutcome>();

  constructor(request: GenerationRequest, handlers: GenerationHandlers) {
    this.request = request;
    this.#handlers = handlers;
    this.done = this.#settle.promise;
  }

  stream(...texts: string[]): void {
    for (const text of texts) {
      this.#text += text;
      this.#tokens += 1;
      this.#handlers.onTokens?.([{ id: this.#tokens, text, logprob: null, endOfGeneration: false, top: [] }]);
    }
  }

  progress(fraction: number): void {
    this.#handlers.onPromptProgress?.(fraction);
  }

  finish(changes: Partial<GenerationOutcome> = {}): void {
    this.#settle.resolve({
      finishReason: 'stop',
      stopString: null,
      promptTokens: 30,
      cachedTokens: 10,
      tokens: this.#tokens,
      shiftedTokens: 0,
      seed: 42,
      queueMilliseconds: 0,
      promptMilliseconds: 100,
      decodeMilliseconds: 500,
      timeToFirstTokenMilliseconds: 101,
      lossy: null,
      message: null,
      text: this.#text,
      usage: null,
      adapters: [],
      ...changes,
    });
  }

  fail(error: Error): void {
    this.#settle.reject(error);
  }

  cancel(): void {
    this.cancelled = true;
    this.finish({ finishReason: 'cancelled' });
  }
}

/** Generations whose every request waits for the test. */
export class ScriptedGenerations implements Generations {
  readonly all: ScriptedGeneration[] = [];

  start(request: GenerationRequest, handlers: GenerationHandlers = {}): Generation {
    const generation = new ScriptedGeneration(request, handlers);
    this.all.push(generation);
    return generation;
  }

  /** The `count`th request (from 1), as soon as it came. */
  async get(count: number): Promise<ScriptedGeneration> {
    return vi.waitUntil(() => this.all[count - 1], { interval: 1 });
  }

  /** The latest request for a message. */
  async of(message: { id: string }): Promise<ScriptedGeneration> {
    return vi.waitUntil(() => this.all.findLast((generation) => generation.request.messageId === message.id), { interval: 1 });
  }
}

export class ScriptedModels implements LoadedModels {
  loaded = ['tiny-moe'];
  defaults: ModelDefaults = {};
  /** while set, models keep loading until it resolves */
  loading: Promise<void> | undefined;

  loadedIds(): string[] {
    return this.loaded;
  }

  async acquire(modelId: string, signal?: AbortSignal): ReturnType<LoadedModels['acquire']> {
    const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }));
    await Promise.race([this.loading, aborted]);
    if (!this.loaded.includes(modelId)) throw new MoebiusError('model.not-found', `There is no model ${modelId}.`);
    // the service reads nothing but the card's id and defaults
    return { card: { id: modelId, defaults: this.defaults } as ModelCard, loaded: {} as Awaited<ReturnType<LoadedModels['acquire']>>['loaded'] };
  }
}

export type Published = { [E in EventName]: { event: E; payload: EventPayload<E> } }[EventName];

export interface Bench {
  service: ChatService;
  call: ChatService['handlers'];
  database: Database;
  generations: ScriptedGenerations;
  models: ScriptedModels;
  published: Published[];
  payloads<E extends EventName>(event: E): EventPayload<E>[];
  /** the message in its final state, once that is published */
  final(messageId: string): Promise<EventPayload<'chat.message'>>;
  path: string;
}

export async function bench(changes: Partial<ChatServiceParts> & { path?: string } = {}): Promise<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-chat-'));
  const path = changes.path ?? join(folder, 'moebius.sqlite');
  const database = changes.database ?? (await openDatabase(path));
  const generations = new ScriptedGenerations();
  const models = new ScriptedModels();
  const published: Published[] = [];
  let ids = 0;
  let time = 1000;
  const service = new ChatService({
    database,
    generations,
    models,
    // event and payload belong together: publish's own signature says so, a union cannot
    publish: (event, payload) => void published.push({ event, payload } as Published),
    adapters: { chosen: () => [] },
    recordRoutes: () => false,
    now: () => ++time,
    createId: () => `${path}-${++ids}`.slice(-12),
    ...changes,
  });
  await service.start();
  onTestFinished(async () => {
    await service.dispose();
    await database.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const payloads = <E extends EventName>(event: E) =>
    published.filter((one): one is Extract<Published, { event: E }> => one.event === event).map((one) => one.payload as EventPayload<E>);
  const final = (messageId: string) =>
    vi.waitUntil(() => payloads('chat.message').findLast((message) => message.id === messageId && message.state !== 'streaming'), { interval: 1 });
  return { service, call: service.handlers, database, generations, models, published, payloads, final, path };
}

/** A chat with one question that got its answer. */
export async function answered(b: Bench, question = 'question', answer = 'answer') {
  const chat = await b.call['chats.create']({});
  const sent = await b.call['chat.send']({ chatId: chat.id, text: question });
  const generation = await b.generations.of(sent.assistantMessage);
  generation.stream(answer);
  generation.finish();
  const reply = await b.final(sent.assistantMessage.id);
  return { chatId: chat.id, question: sent.userMessage ?? reply, reply };
}

/** What the service asked for: role and content of every message. */
export function asked(generation: ScriptedGeneration) {
  const { input } = generation.request;
  return 'chat' in input ? input.chat.messages.map(({ role, content }) => [role, content]) : [];
}
