// When an engine that ended is started again: pure decisions, no timers.

export interface RestartLimits {
  /** milliseconds before the 1st, 2nd, 3rd ... restart in a row; the last one repeats */
  backoff: readonly number[];
  /** restarts within `window` after which it is given up */
  maximumRestarts: number;
  /** milliseconds */
  window: number;
}

export const defaultRestartLimits: RestartLimits = { backoff: [200, 1000, 3000], maximumRestarts: 3, window: 5 * 60_000 };

export type RestartDecision = { restart: true; delay: number } | { restart: false; deaths: number };

/**
 * A crash loop is an engine that keeps dying without having done anything: at its start, or when a model is loaded into it again.
 * A life that generated tokens is evidence against one (somebody asked for the work that it died of, nobody is asked again), so it clears the count.
 */
export class RestartPolicy {
  readonly #limits: RestartLimits;
  #restarts: number[] = [];

  constructor(limits: RestartLimits = defaultRestartLimits) {
    this.#limits = limits;
  }

  /** `now`: milliseconds of any clock that does not run backwards; `fruitful`: this life generated tokens. */
  died(now: number, fruitful: boolean): RestartDecision {
    this.#restarts = fruitful ? [] : this.#restarts.filter((time) => now - time < this.#limits.window);
    if (this.#restarts.length >= this.#limits.maximumRestarts) return { restart: false, deaths: this.#restarts.length + 1 };
    const delay = this.#limits.backoff[Math.min(this.#restarts.length, this.#limits.backoff.length - 1)] ?? 0;
    this.#restarts.push(now);
    return { restart: true, delay };
  }

  /** Somebody asked for a fresh start. */
  reset(): void {
    this.#restarts = [];
  }
}
