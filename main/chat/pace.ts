/** Runs `action` at once, then at most once an interval however often `poke` is called; the last poke is never lost. */
export class Pace {
  readonly #interval: number;
  readonly #action: () => void;
  #last = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** `interval` in ms */
  constructor(interval: number, action: () => void) {
    this.#interval = interval;
    this.#action = action;
  }

  poke(): void {
    if (this.#timer !== undefined) return;
    const wait = this.#last + this.#interval - performance.now();
    if (wait <= 0) this.#act();
    else this.#timer = setTimeout(() => this.#act(), wait);
  }

  /** Drops a waiting action. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #act(): void {
    this.stop();
    this.#last = performance.now();
    this.#action();
  }
}
