// All live expert usage of the window: one LiveUsage per model and per conversation, fed by `experts.frame`.
import type { CoreClient, ExpertFrame, Usage } from '../../main/contract/index.ts';
import { LiveUsage } from './live-usage.ts';

export type UsageKey = `model:${string}` | `chat:${string}` | `message:${string}`;

/** Messages and conversations beyond these, the longest unused first, are forgotten; their totals stay with the core (`experts.usage`). */
const KEPT = 64;

export class UsageHub {
  readonly #usages = new Map<UsageKey, LiveUsage>();
  readonly #listeners = new Map<UsageKey, Set<() => void>>();
  readonly #now: () => number;
  readonly #dispose: () => void;
  #halfLife: number;

  /** `now`: seconds, monotonic. `halfLife`: of models and conversations; those of messages never fade. */
  constructor(client: CoreClient, halfLife: number, now: () => number = () => performance.now() / 1000) {
    this.#halfLife = halfLife;
    this.#now = now;
    this.#dispose = client.on('experts.frame', (frame) => this.#receive(frame));
  }

  get halfLife(): number {
    return this.#halfLife;
  }

  /** null until the first frame. The object stays the same while its model keeps its shape. */
  get(key: UsageKey): LiveUsage | null {
    return this.#usages.get(key) ?? null;
  }

  /** Takes the core's totals. Answers and frames come in order, so what comes after counts on top of them. */
  seed(key: UsageKey, usage: Usage): void {
    this.#live(key, usage.moeLayers.length, usage.expertCount).setTotals(usage.counts, usage.tokens);
    this.#notify(key);
  }

  /** Seconds; Infinity: the whole session, which brings everything counted so far back. */
  setHalfLife(seconds: number): void {
    this.#halfLife = seconds;
    for (const [key, usage] of this.#usages) {
      if (key.startsWith('message:')) continue;
      usage.setHalfLife(seconds, this.#now());
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

  /** Forgets what a model, conversation or message counted (unloaded, deleted). */
  forget(key: UsageKey): void {
    if (this.#usages.delete(key)) this.#notify(key);
  }

  dispose(): void {
    this.#dispose();
    this.#listeners.clear();
  }

  #receive(frame: ExpertFrame): void {
    this.#add(`model:${frame.modelId}`, frame);
    if (frame.chatId !== null) this.#add(`chat:${frame.chatId}`, frame);
    if (frame.messageId !== null) this.#add(`message:${frame.messageId}`, frame);
  }

  #add(key: UsageKey, frame: ExpertFrame): void {
    this.#live(key, frame.layerCount, frame.expertCount).add(frame.data, frame.tokens, this.#now());
    this.#notify(key);
    this.#dropOldest();
  }

  #live(key: UsageKey, layerCount: number, expertCount: number): LiveUsage {
    const known = this.#usages.get(key);
    const fits = known && known.layerCount === layerCount && known.expertCount === expertCount;
    const halfLife = key.startsWith('message:') ? Number.POSITIVE_INFINITY : this.#halfLife;
    const usage = fits ? known : new LiveUsage(layerCount, expertCount, halfLife, this.#now());
    this.#usages.delete(key); // and set again: the map's order is then that of last use
    this.#usages.set(key, usage);
    return usage;
  }

  #dropOldest(): void {
    for (const key of this.#usages.keys()) {
      if (this.#usages.size <= KEPT) return;
      if (!this.#listeners.has(key) && !key.startsWith('model:')) this.#usages.delete(key);
    }
  }

  #notify(key: UsageKey): void {
    for (const listener of this.#listeners.get(key) ?? []) listener();
  }
}
