// Lines of a file as bytes, in batches of what ends in one piece of it.
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { BadRow } from '../problem.ts';
import { LONGEST_ROW, tooLong } from './row.ts';

export interface Line {
  /** 1-based */
  number: number;
  offset: number;
  /** without its end (\n or \r\n) and without a byte order mark; null: longer than LONGEST_ROW */
  bytes: Buffer | null;
  /** with all of a line that is too long */
  length: number;
}

export const NEWLINE = 10;
const CARRIAGE_RETURN = 13;
export const CHUNK_BYTES = 1024 * 1024;
/** Of short rows a chunk has tens of thousands: what would be made of all at once outlives the quick collections of garbage. So rows are given as they end in a piece of it. */
export const PIECE_BYTES = 16 * 1024;
export const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Gathers the pieces of a line; of one that is too long only its length. */
class PartialLine {
  #pieces: Buffer[] = [];
  length = 0;

  add(piece: Buffer): void {
    this.length += piece.length;
    if (this.length > LONGEST_ROW) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }

  take(): { bytes: Buffer | null; length: number } {
    const { length } = this;
    const bytes = length > LONGEST_ROW ? null : this.#pieces.length === 1 && this.#pieces[0] ? this.#pieces[0] : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.length = 0;
    return { bytes, length };
  }
}

/** Read in chunks, given in pieces of PIECE_BYTES at most. */
export async function* readPieces(path: string, chunkBytes: number): AsyncGenerator<Buffer> {
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
  }
}

/** Empty lines too; a file that ends with a newline has no further line. */
export async function* readLines(path: string, chunkBytes = CHUNK_BYTES): AsyncGenerator<Line[]> {
  const partial = new PartialLine();
  let number = 1;
  let offset = 0;
  const end = (newline: number): Line => {
    const { bytes, length } = partial.take();
    const line = { number, offset, bytes: bytes && withoutMarks(bytes, offset === 0), length };
    number += 1;
    offset += length + newline;
    return line;
  };
  for await (const piece of readPieces(path, chunkBytes)) {
    const lines: Line[] = [];
    let begin = 0;
    for (let at = piece.indexOf(NEWLINE); at >= 0; at = piece.indexOf(NEWLINE, begin)) {
      partial.add(piece.subarray(begin, at));
      lines.push(end(1));
      begin = at + 1;
    }
    partial.add(piece.subarray(begin));
    if (lines.length > 0) yield lines;
  }
  if (partial.length > 0) yield [end(0)];
}

function withoutMarks(bytes: Buffer, first: boolean): Buffer {
  const line = bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
  return first && line.subarray(0, 3).equals(BYTE_ORDER_MARK) ? line.subarray(3) : line;
}

/** Throws BadRow. */
export function lineText({ bytes, length }: Line): string {
  if (bytes === null) throw tooLong(length);
  return utf8Text(bytes);
}

/** Throws BadRow. */
export function utf8Text(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new BadRow('row.not-utf8', 'it has bytes that are not UTF-8; save the file as UTF-8');
  return bytes.toString('utf8');
}
