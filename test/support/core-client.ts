// A second window's worth of RPC for tests: the contract over the WebSocket of `moebius serve`, from Node.
import { WebSocket } from 'ws';
import { type ErrorBody, type EventName, type EventPayload, type Method, MoebiusError, type Parameters, type Result } from '../../main/contract/index.ts';

interface Answer {
  id: number;
  result?: unknown;
  error?: ErrorBody;
}

/** Events with bytes (`experts.frame`) are not decoded here. */
export class CoreClient {
  readonly #socket: WebSocket;
  readonly #pending = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Map<string, Set<(payload: unknown) => void>>();
  #nextId = 1;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data, binary) => !binary && this.#receive(JSON.parse(String(data))));
    socket.on('close', () => this.#fail('the connection to moebius serve ended'));
  }

  /** `url`: an announced address of the UI, whose launch token it uses up. */
  static async connect(url: string): Promise<CoreClient> {
    const { origin, host, hash } = new URL(url);
    const socket = new WebSocket(`ws://${host}/rpc`, { origin });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    const greeted = new Promise((resolve, reject) => socket.once('message', resolve).once('close', () => reject(new Error('the token was refused'))));
    socket.send(JSON.stringify({ token: hash.replace('#token=', '') }));
    await greeted;
    return new CoreClient(socket);
  }

  call<M extends Method>(method: M, parameters: Parameters<M>): Promise<Result<M>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (result: unknown) => void, reject }); // the core answers a method with its result
      this.#socket.send(JSON.stringify({ id, method, parameters }));
    });
  }

  /** returns the unsubscribe function */
  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    const entry = listener as (payload: unknown) => void; // the core publishes an event with its payload
    this.#listeners.set(event, listeners.add(entry));
    return () => listeners.delete(entry);
  }

  close(): void {
    this.#socket.terminate();
  }

  #receive(message: Answer | { event: EventName; payload: unknown }): void {
    if ('event' in message) {
      for (const listener of this.#listeners.get(message.event) ?? []) listener(message.payload);
      return;
    }
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error) pending?.reject(new MoebiusError(message.error.code, message.error.message, { details: message.error.details ?? {} }));
    else pending?.resolve(message.result);
  }

  #fail(reason: string): void {
    for (const { reject } of this.#pending.values()) reject(new Error(reason));
    this.#pending.clear();
  }
}
