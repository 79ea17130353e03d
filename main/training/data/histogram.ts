// How long the examples are, exactly up to a length, in memory that does not depend on how many there are.
import type { TokenLengths } from '../../contract/datasets.ts';

/** Longer ones are counted as this long, but for `max`. */
const LONGEST_COUNTED = 1 << 20;

export class LengthHistogram {
  /** by length */
  #counts = new Float64Array(1024);
  #count = 0;
  #sum = 0;
  #max = 0;

  add(length: number): void {
    const index = Math.min(length, LONGEST_COUNTED);
    if (index >= this.#counts.length) {
      const larger = new Float64Array(Math.min(LONGEST_COUNTED + 1, Math.max(index + 1, this.#counts.length * 2)));
      larger.set(this.#counts);
      this.#counts = larger;
    }
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count += 1;
    this.#sum += length;
    this.#max = Math.max(this.#max, length);
  }

  get sum(): number {
    return this.#sum;
  }

  summary(): TokenLengths {
    const { p50, p90, p99 } = this.#percentiles();
    const mean = this.#count === 0 ? 0 : this.#sum / this.#count;
    return { count: this.#count, mean, p50, p90, p99, max: this.#max, bars: this.#bars() };
  }

  /** The smallest length that at least this share has (nearest rank). */
  #percentiles(): { p50: number; p90: number; p99: number } {
    const at = (share: number) => {
      const rank = Math.ceil(share * this.#count);
      let below = 0;
      for (let length = 0; length < this.#counts.length; length++) {
        below += this.#counts[length] ?? 0;
        if (below >= rank) return length === LONGEST_COUNTED ? this.#max : length;
      }
      return this.#max;
    };
    return this.#count === 0 ? { p50: 0, p90: 0, p99: 0 } : { p50: at(0.5), p90: at(0.9), p99: at(0.99) };
  }

  #bars(): TokenLengths['bars'] {
    const bars = [];
    for (let from = 1; from <= this.#max; from *= 2) {
      const to = from * 2 - 1;
      const last = from >= LONGEST_COUNTED ? LONGEST_COUNTED : to;
      const count = this.#counts.subarray(Math.min(from, LONGEST_COUNTED), last + 1).reduce((sum, each) => sum + each, 0);
      bars.push({ from, to, count });
      if (from >= LONGEST_COUNTED) break;
    }
    return bars;
  }
}
