// How objects lie in a JSON file that begins with one: their braces tell, outside of texts.
import { createReadStream } from 'node:fs';
import { CHUNK_BYTES, NEWLINE } from './lines.ts';
import { LONGEST_ROW } from './row.ts';

/** one: nothing but this one; lines: each has a line; spread: one behind the other, on any lines */
export type ObjectLayout = 'one' | 'lines' | 'spread';

const [QUOTE, BACKSLASH, OPEN, CLOSE] = [0x22, 0x5c, 0x7b, 0x7d];

export class ObjectLayoutScanner {
  #depth = 0;
  #inText = false;
  #escaped = false;
  #ended = false;
  #newlineIn = false;
  #newlineBehind = false;

  /** Takes more of the file, from its first byte on; null: it takes still more to tell. */
  scan(chunk: Buffer): ObjectLayout | null {
    for (const byte of chunk) {
      if (this.#ended && byte > 0x20) return byte !== OPEN ? 'one' : !this.#newlineIn && this.#newlineBehind ? 'lines' : 'spread';
      if (this.#ended) this.#newlineBehind ||= byte === NEWLINE;
      else this.#inside(byte);
    }
    return null;
  }

  #inside(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (this.#inText && byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inText = !this.#inText;
    else if (!this.#inText) this.#outside(byte);
  }

  #outside(byte: number): void {
    this.#newlineIn ||= byte === NEWLINE && this.#depth > 0;
    if (byte === OPEN) this.#depth += 1;
    if (byte === CLOSE) this.#depth -= 1;
    this.#ended = byte === CLOSE && this.#depth === 0;
  }
}

/** An object that is longer than a row may be is one around rows. */
export async function objectLayoutOf(path: string): Promise<ObjectLayout> {
  const scanner = new ObjectLayoutScanner();
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES, end: LONGEST_ROW })) {
    const layout = scanner.scan(chunk);
    if (layout !== null) return layout;
  }
  return 'one';
}
