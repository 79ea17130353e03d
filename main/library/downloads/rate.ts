// Bytes a second, smooth enough to read.

/** The mean over the last `windowMs`. */
export class RateMeter {
  readonly #windowMs: number;
  readonly #now: () => number;
  #samples: { at: number; bytes: number }[] = [];

  constructor(windowMs = 5000, now: () => number = () => performance.now()) {
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** `bytes`: done so far. Fewer than before begins anew. */
  sample(bytes: number): void {
    const at = this.#now();
    const last = this.#samples.at(-1);
    if (last && bytes < last.bytes) this.#samples = [];
    if (last && at - last.at < this.#windowMs / 20 && this.#samples.length > 1) this.#samples.pop();
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > this.#windowMs) this.#samples.shift();
  }

  get bytesPerSecond(): number {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last) return 0;
    const milliseconds = this.#now() - first.at;
    return milliseconds > 0 ? ((last.bytes - first.bytes) * 1000) / milliseconds : 0;
  }

  reset(): void {
    this.#samples = [];
  }
}
