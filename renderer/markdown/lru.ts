/** Keeps what was asked for last. */
export class LruCache<Value> {
  readonly #limit: number;
  readonly #values = new Map<string, Value>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The kept value, or the one that `make` makes now. */
  get(key: string, make: () => Value): Value {
    const kept = this.#values.get(key);
    const value = kept === undefined ? make() : kept;
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#limit) {
      const oldest = this.#values.keys().next().value;
      if (oldest !== undefined) this.#values.delete(oldest);
    }
    return value;
  }
}
