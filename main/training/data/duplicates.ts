// Finds examples that are there twice, by their fingerprints, in bounded memory: 64 bits of the fingerprint and 32 of the position of the first one. Among
// 3 million examples two different ones share 64 bits with a probability of 3 in 10 million.
import { EXAMPLES_REMEMBERED } from '../../contract/datasets.ts';

const SEGMENTS = 64;
const GROWTH = 1.25;
const FULLEST = 0.75;

/** of an entry: two of the fingerprint, one of position + 1 (0: free) */
const WORDS = 3;
/** Of later examples there is no position to remember. */
const POSITION_LIMIT = 2 ** 32 - 1;

/** Open addressing. */
class Segment {
  #capacity: number;
  #words: Uint32Array;
  #used = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#words = new Uint32Array(capacity * WORDS);
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  /** The position that was stored for it before, or null, and then it is stored if `store`. */
  find(high: number, low: number, position: number, store: boolean): number | null {
    if (store && this.#used + 1 > this.#capacity * FULLEST) this.#grow();
    const slot = this.#slotOf(high, low);
    const kept = this.#positionAt(slot);
    if (kept > 0) return kept - 1;
    if (store) {
      this.#write(slot, high, low, position + 1);
      this.#used += 1;
    }
    return null;
  }

  /** Its slot, or the free one where it would be. */
  #slotOf(high: number, low: number): number {
    let slot = low % this.#capacity;
    while (this.#positionAt(slot) > 0 && !(this.#words[slot * WORDS] === high && this.#words[slot * WORDS + 1] === low)) slot = (slot + 1) % this.#capacity;
    return slot;
  }

  #positionAt(slot: number): number {
    return this.#words[slot * WORDS + 2] ?? 0;
  }

  #write(slot: number, high: number, low: number, value: number): void {
    this.#words.set([high, low, value], slot * WORDS);
  }

  #grow(): void {
    const [old, capacity] = [this.#words, this.#capacity];
    this.#capacity = Math.ceil(capacity * GROWTH);
    this.#words = new Uint32Array(this.#capacity * WORDS);
    for (let at = 0; at < capacity * WORDS; at += WORDS) {
      const [high = 0, low = 0, value = 0] = old.subarray(at, at + WORDS);
      if (value > 0) this.#write(this.#slotOf(high, low), high, low, value);
    }
  }
}

export class DuplicateFinder {
  readonly #segments = Array.from({ length: SEGMENTS }, (_, index) => new Segment(SEGMENTS + index)); // of several sizes, so that not all grow at once
  readonly #most: number;
  #remembered = 0;
  #incomplete = false;

  constructor(most = EXAMPLES_REMEMBERED) {
    this.#most = most;
  }

  /** Some examples could not be remembered: a repetition of them is not found. */
  get incomplete(): boolean {
    return this.#incomplete;
  }

  /** of the table: with as many examples as are remembered usually, 48 to 60 MB */
  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** `position`: a number by which the caller knows the example. Gives the position of the first equal one, or null for a new one. */
  add(fingerprint: string, position: number): number | null {
    const high = Number.parseInt(fingerprint.slice(0, 8), 16);
    const low = Number.parseInt(fingerprint.slice(8, 16), 16);
    const segment = this.#segments[high % SEGMENTS];
    if (segment === undefined) throw new Error('no segment'); // high % SEGMENTS is below SEGMENTS
    const remember = this.#remembered < this.#most && position < POSITION_LIMIT;
    const first = segment.find(high, low, position, remember);
    if (first !== null) return first;
    if (remember) this.#remembered += 1;
    else this.#incomplete = true;
    return null;
  }
}
