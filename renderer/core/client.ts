// The half of a CoreClient that no transport matters to: matches answers to calls, hands events to listeners.
import type { CoreClient, EventName, EventPayload, Method, Parameters, Result } from '../../main/contract/index.ts';
import { MoebiusError } from '../../main/contract/index.ts';
import type { Incoming, RequestMessage } from './wire.ts';

/** Carries messages one way; the other way it calls `receive`, `setConnected` of the client. */
export interface Transport {
  /** false: not connected, the message was not sent */
  send(message: RequestMessage): boolean;
  dispose(): void;
}

interface Pending {
  resolve: (result: unknown) => void;
  reject: (error: Error) => void;
}

type Listener = (payload: unknown) => void;

export const connectionLost = 'The connection to the application core was lost before it answered. It reconnects by itself; then try again.';

/**
 * Calls made while there is no connection wait for it; calls that were under way when it broke fail with `internal`,
 * because nobody knows whether they were carried out.
 */
export class RpcClient implements CoreClient {
  #transport: Transport;
  #nextId = 1;
  #connected = false;
  #disposed = false;
  readonly #pending = new Map<number, Pending>();
  #waiting: RequestMessage[] = [];
  readonly #listeners = new Map<EventName, Set<Listener>>();
  readonly #connectionListeners = new Set<(connected: boolean) => void>();

  /** `open` starts the transport; it is given this client to report to. */
  constructor(open: (client: RpcClient) => Transport) {
    this.#transport = open(this);
  }

  call<M extends Method>(method: M, parameters: Parameters<M>): Promise<Result<M>> {
    if (this.#disposed) return Promise.reject(new MoebiusError('cancelled', 'The window is closing.'));
    const message: RequestMessage = { id: this.#nextId++, method, parameters };
    return new Promise<Result<M>>((resolve, reject) => {
      // The core answers a method with the result that the contract states for it.
      this.#pending.set(message.id, { resolve: resolve as (result: unknown) => void, reject });
      if (!this.#connected || !this.#transport.send(message)) this.#waiting.push(message);
    });
  }

  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    // The core publishes an event with the payload that the contract states for it.
    const entry = listener as Listener;
    listeners.add(entry);
    return () => listeners.delete(entry);
  }

  /** The listener hears the present state at once. */
  onConnection(listener: (connected: boolean) => void): () => void {
    this.#connectionListeners.add(listener);
    listener(this.#connected);
    return () => this.#connectionListeners.delete(listener);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#transport.dispose();
    this.#waiting = [];
    this.#failPending('cancelled', 'The window is closing.');
    this.#listeners.clear();
    this.#connectionListeners.clear();
  }

  /** For the transport. */
  receive(message: Incoming): void {
    if ('event' in message) {
      for (const listener of this.#listeners.get(message.event) ?? []) listener(message.payload);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (!pending) return;
    this.#pending.delete(message.id);
    if (message.error) pending.reject(new MoebiusError(message.error.code, message.error.message, { details: message.error.details ?? {} }));
    else pending.resolve(message.result);
  }

  /** For the transport. */
  setConnected(connected: boolean): void {
    if (connected === this.#connected || this.#disposed) return;
    this.#connected = connected;
    if (connected) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const message of waiting) if (!this.#transport.send(message)) this.#waiting.push(message);
    } else {
      const waiting = new Set(this.#waiting.map((message) => message.id));
      this.#failPending('internal', connectionLost, waiting);
    }
    for (const listener of this.#connectionListeners) listener(connected);
  }

  #failPending(code: 'internal' | 'cancelled', message: string, except: Set<number> = new Set()): void {
    for (const [id, pending] of this.#pending) {
      if (except.has(id)) continue;
      this.#pending.delete(id);
      pending.reject(new MoebiusError(code, message));
    }
  }
}
