// Small tools for asynchronous work that can be given up.
import { MoebiusError } from '../contract/index.ts';

export function cancelledError(message: string): MoebiusError {
  return new MoebiusError('cancelled', message);
}

export function errorCode(error: unknown): string | null {
  return error instanceof MoebiusError ? error.code : null;
}

/** The reason of an aborted signal as an error; whoever aborts with an Error has that one thrown. */
export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof MoebiusError ? signal.reason : cancelledError('Cancelled.');
}

/** Settles as `promise`, or rejects as soon as `signal` aborts; the work itself goes on for others who wait for it. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(abortReason(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Waits `milliseconds`, or rejects as soon as `signal` aborts. */
export function delay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const done = () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortReason(signal));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Runs tasks one after another, in the order they were given. */
export class SerialQueue {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** Questions of which only the latest of each asker counts: a further one gives up the one before. */
export class LatestQuestions {
  readonly #running = new Map<string, AbortController>();

  /** Settles as `task`, which is given a signal that a later question, `cancel` or `dispose` aborts. */
  async ask<T>(ticket: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.cancel(ticket);
    const controller = new AbortController();
    this.#running.set(ticket, controller);
    try {
      return await abortable(task(controller.signal), controller.signal);
    } finally {
      if (this.#running.get(ticket) === controller) this.#running.delete(ticket);
    }
  }

  /** Nothing happens when nothing is asked. */
  cancel(ticket: string): void {
    this.#running.get(ticket)?.abort(cancelledError('Another question took its place.'));
    this.#running.delete(ticket);
  }

  dispose(): void {
    for (const ticket of [...this.#running.keys()]) this.cancel(ticket);
  }
}

/** Emits per key: at once for `now`, at most once an interval for `soon`, where the last call is never lost. */
export class Throttle<Key> {
  readonly #intervalMs: number;
  readonly #emit: (key: Key) => void;
  readonly #last = new Map<Key, number>();
  readonly #timers = new Map<Key, NodeJS.Timeout>();

  constructor(intervalMs: number, emit: (key: Key) => void) {
    this.#intervalMs = intervalMs;
    this.#emit = emit;
  }

  now(key: Key): void {
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.#last.set(key, performance.now());
    this.#emit(key);
  }

  soon(key: Key): void {
    if (this.#timers.has(key)) return;
    const wait = (this.#last.get(key) ?? Number.NEGATIVE_INFINITY) + this.#intervalMs - performance.now();
    if (wait <= 0) this.now(key);
    else
      this.#timers.set(
        key,
        setTimeout(() => this.now(key), wait),
      );
  }

  forget(key: Key): void {
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.#last.delete(key);
  }

  dispose(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
