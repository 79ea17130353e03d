// All live expert usage of the window: one LiveUsage per model and per conversation, fed by `experts.frame`.
import type { CoreClient, ExpertFrame, Usage } from '../../main/contract/index.ts';
import { LiveUsage } from './live-usage.ts';
import { UsageHistory } from './usage-history.ts';

export type UsageKey = `model:${string}` | `chat:${string}` | `message:${string}`;

/** Messages and conversations beyond these, the longest unused first, are forgotten; their totals stay with the core (`experts.usage`). */
const KEPT = 64;

export interface Clock {
  /** seconds, monotonic */
  now(): number;
  /** seconds since 1970 */
  time(): number;
}

const systemClock: Clock = { now: () => performance.now() / 1000, time: () => Date.now() / 1000 };

export class UsageHub {
  readonly #usages = new Map<UsageKey, LiveUsage>();
  readonly #listeners = new Map<UsageKey, Set<() => void>>();
  readonly #histories = new Map<UsageKey, UsageHistory>();
  readonly #clock: Clock;
  readonly #unsubscribe: (() => void)[];
  #halfLife: number;

  /** `halfLife`: seconds, of models and conversations; counters of messages never fade. */
  constructor(client: CoreClient, halfLife: number, clock = systemClock) {
    this.#halfLife = halfLife;
    this.#clock = clock;
    this.#unsubscribe = [
      client.on('experts.frame', (frame) => this.#receive(frame)),
      // The core counts a model anew with every load.
      client.on('models.changed', (card) => card.state.state !== 'loaded' && this.#forget(`model:${card.id}`)),
      client.on('models.removed', ({ id }) => this.#forget(`model:${id}`)),
      client.on('chats.removed', ({ id }) => this.#forget(`chat:${id}`)),
    ];
  }

  get halfLife(): number {
    return this.#halfLife;
  }

  /** null until the first frame. The object stays the same while its model keeps its shape. */
  get(key: UsageKey): LiveUsage | null {
    return this.#usages.get(key) ?? null;
  }

  /** Of a model or conversation that has counted something. It is added to as frames come; who shows it calls `sample` meanwhile. */
  history(key: UsageKey): UsageHistory | null {
    return this.#histories.get(key) ?? null;
  }

  /** Adds to the history, if a sample is due: for times without frames. */
  sample(key: UsageKey): void {
    const usage = this.#usages.get(key);
    if (!usage) return;
    usage.decayTo(this.#clock.now());
    this.#histories.get(key)?.offer(usage, this.#clock.now(), this.#clock.time());
  }

  /** Takes the core's totals. Answers and frames come in order, so what comes after counts on top of them. */
  seed(key: UsageKey, usage: Usage): void {
    this.#live(key, usage.moeLayers.length, usage.expertCount).setTotals(usage.counts, usage.tokens);
    this.#histories.get(key)?.rebase(usage.tokens);
    this.#notify(key);
  }

  /** Seconds; Infinity: the whole session, which brings everything counted so far back. */
  setHalfLife(seconds: number): void {
    this.#halfLife = seconds;
    for (const [key, usage] of this.#usages) {
      if (key.startsWith('message:')) continue;
      usage.setHalfLife(seconds, this.#clock.now());
      this.#notify(key);
    }
  }

  /** Called with every change of the key's values; returns the unsubscribe function. */
  subscribe(key: UsageKey, listener: () => void): () => void {
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(key);
    };
  }

  dispose(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
  }

  #forget(key: UsageKey): void {
    this.#histories.delete(key);
    if (this.#usages.delete(key)) this.#notify(key);
  }

  #receive(frame: ExpertFrame): void {
    this.#add(`model:${frame.modelId}`, frame);
    if (frame.chatId !== null) this.#add(`chat:${frame.chatId}`, frame);
    if (frame.messageId !== null) this.#add(`message:${frame.messageId}`, frame);
  }

  #add(key: UsageKey, frame: ExpertFrame): void {
    const usage = this.#live(key, frame.layerCount, frame.expertCount);
    usage.add(frame.data, frame.tokens, this.#clock.now());
    this.#histories.get(key)?.offer(usage, this.#clock.now(), this.#clock.time());
    this.#notify(key);
    this.#dropOldest();
  }

  #live(key: UsageKey, layerCount: number, expertCount: number): LiveUsage {
    const known = this.#usages.get(key);
    const fits = known && known.layerCount === layerCount && known.expertCount === expertCount;
    const ofMessage = key.startsWith('message:');
    const halfLife = ofMessage ? Number.POSITIVE_INFINITY : this.#halfLife;
    const usage = fits ? known : new LiveUsage(layerCount, expertCount, halfLife, this.#clock.now());
    if (!fits && !ofMessage) this.#histories.set(key, new UsageHistory());
    this.#usages.delete(key); // and set again: the map's order is then that of last use
    this.#usages.set(key, usage);
    return usage;
  }

  #dropOldest(): void {
    for (const key of this.#usages.keys()) {
      if (this.#usages.size <= KEPT) return;
      if (this.#listeners.has(key) || key.startsWith('model:')) continue;
      this.#usages.delete(key);
      this.#histories.delete(key);
    }
  }

  #notify(key: UsageKey): void {
    for (const listener of this.#listeners.get(key) ?? []) listener();
  }
}
