// Repeatable random numbers.

/** Marsaglia's xorshift, 32 bits: the same sequence for the same seed on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // scrambled, so that neighbouring seeds do not begin alike; never 0, which xorshift would keep
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  }

  /** 32 random bits, unsigned */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0 .. limit-1 */
  below(limit: number): number {
    return this.next() % limit;
  }

  /** uniform in [0, 1) */
  unit(): number {
    return this.next() / 2 ** 32;
  }

  /** standard normal (Box-Muller) */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.unit())) * Math.cos(2 * Math.PI * this.unit());
  }

  fill(bytes: Uint8Array): void {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
    for (let index = 0; index < words.length; index++) words[index] = this.next();
  }
}
