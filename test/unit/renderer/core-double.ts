// A CoreClient whose answers a test writes and whose events it sends.
import type { Chat, CoreClient, EventName, EventPayload, Message, Method, Parameters, Result } from '../../../main/contract/index.ts';

type Answers = { [M in Method]?: (parameters: Parameters<M>) => Result<M> | Promise<Result<M>> };

export class CoreDouble implements CoreClient {
  readonly calls: { method: Method; parameters: unknown }[] = [];
  answers: Answers = {};
  readonly #listeners = new Map<EventName, Set<(payload: never) => void>>();
  readonly #connection = new Set<(connected: boolean) => void>();

  async call<M extends Method>(method: M, parameters: Parameters<M>): Promise<Result<M>> {
    this.calls.push({ method, parameters });
    const answer = this.answers[method];
    if (!answer) throw new Error(`the test gives no answer to ${method}`);
    return answer(parameters);
  }

  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    this.#connection.add(listener);
    return () => this.#connection.delete(listener);
  }

  dispose(): void {}

  send<E extends EventName>(event: E, payload: EventPayload<E>): void {
    // Only listeners of this event are in its set, so they take this payload.
    for (const listener of this.#listeners.get(event) ?? []) listener(payload as never);
  }

  connect(connected: boolean): void {
    for (const listener of this.#connection) listener(connected);
  }

  count(method: Method): number {
    return this.calls.filter((call) => call.method === method).length;
  }
}

export function message(id: string, parentId: string | null, role: Message['role'], more: Partial<Message> = {}): Message {
  const fixed = { reasoning: '', toolCalls: [], finishReason: null, error: null, modelId: 'tiny-moe', adapters: [], stats: null, hasRoutes: false };
  return { id, chatId: 'chat', parentId, role, text: '', state: 'complete', createdAt: Number(id.replace(/\D/g, '')), ...fixed, ...more };
}

export function chat(messages: Message[], leafId: string | null = messages[messages.length - 1]?.id ?? null): Chat {
  const fixed = {
    title: 'A chat',
    modelId: 'tiny-moe',
    messageCount: messages.length,
    createdAt: 1,
    updatedAt: 1,
    systemPrompt: '',
    parameters: {},
    presetId: null,
  };
  return { id: 'chat', ...fixed, leafId, messages };
}
