// Decaying counters of one model or conversation, fed by expert frames and read by the grid, the balance figures and the history chart.
import { decodeCells } from '../../main/contract/index.ts';

/** Below this a decayed counter is taken for zero, so that a quiet grid stops being redrawn. */
const NEGLIGIBLE = 1e-4;

export class LiveUsage {
  readonly layerCount: number;
  readonly expertCount: number;
  /** decayed counts, layer-major; as of the last `decayTo` */
  readonly values: Float32Array;
  /** counts without decay */
  readonly totals: Float64Array;
  tokens = 0;
  #halfLife: number;
  #decayedAt: number;
  #quiet = true;

  /** `halfLife`: seconds; Infinity: the whole session. `now`: seconds, of any monotonic clock that the other calls use too */
  constructor(layerCount: number, expertCount: number, halfLife: number, now: number) {
    this.layerCount = layerCount;
    this.expertCount = expertCount;
    this.#halfLife = halfLife;
    this.values = new Float32Array(layerCount * expertCount);
    this.totals = new Float64Array(layerCount * expertCount);
    this.#decayedAt = now;
  }

  /** nothing left to fade */
  get quiet(): boolean {
    return this.#quiet || this.#halfLife === Number.POSITIVE_INFINITY;
  }

  /** something was counted, and nothing of it is left in `values` */
  get faded(): boolean {
    return this.#quiet && this.tokens > 0 && this.#halfLife !== Number.POSITIVE_INFINITY;
  }

  /** Infinity brings every count back. */
  setHalfLife(seconds: number, now: number): void {
    this.decayTo(now);
    this.#halfLife = seconds;
    if (seconds !== Number.POSITIVE_INFINITY) return;
    this.values.set(this.totals);
    this.#quiet = false;
  }

  /** Replaces the totals by the core's, which count since before this window opened. */
  setTotals(counts: readonly number[], tokens: number): void {
    this.totals.set(counts.slice(0, this.totals.length));
    this.tokens = tokens;
    if (this.#halfLife === Number.POSITIVE_INFINITY) this.values.set(this.totals);
  }

  /** Adds the packed cells of a frame (main/contract/experts.ts). */
  add(data: Uint8Array, tokens: number, now: number): void {
    this.decayTo(now);
    decodeCells(data, (cell, count) => {
      if (cell >= this.values.length) return;
      this.values[cell] = (this.values[cell] ?? 0) + count;
      this.totals[cell] = (this.totals[cell] ?? 0) + count;
    });
    this.tokens += tokens;
    this.#quiet = false;
  }

  decayTo(now: number): void {
    const elapsed = now - this.#decayedAt;
    this.#decayedAt = now;
    if (this.#quiet || elapsed <= 0 || this.#halfLife === Number.POSITIVE_INFINITY) return;
    const factor = 2 ** (-elapsed / this.#halfLife);
    let largest = 0;
    for (let cell = 0; cell < this.values.length; cell++) {
      const value = (this.values[cell] ?? 0) * factor;
      this.values[cell] = value;
      if (value > largest) largest = value;
    }
    if (largest >= NEGLIGIBLE) return;
    this.values.fill(0);
    this.#quiet = true;
  }
}
