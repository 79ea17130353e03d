// A JSON file of rows: one list, `[row, ...]`, an object around it, `{"data": [row, ...]}`, or objects one behind the other. The bytes are only searched for
// where rows begin and end (the commas of the list, the braces); JSON.parse reads each row, so a broken one does not end the reading, and none has to be in memory but one.
import { BadRow, quote } from '../problem.ts';
import { CHUNK_BYTES, readPieces, utf8Text } from './lines.ts';
import { LONGEST_ROW, parseJson, type Row, type Rows, rowOf, tooLong } from './row.ts';

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const LONGEST_KEY = 200;
export const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** Rows are numbered from 1. The list of an object is its first one that begins with an object; an object without one is one row. */
export function readJsonArray(path: string, chunkBytes = CHUNK_BYTES): Rows {
  return scanned(path, new ArrayScanner('list'), chunkBytes);
}

/** Objects one behind the other, on any number of lines each. */
export function readJsonObjects(path: string, chunkBytes = CHUNK_BYTES): Rows {
  return scanned(path, new ArrayScanner('objects'), chunkBytes);
}

async function* scanned(path: string, scanner: ArrayScanner, chunkBytes: number): Rows {
  for await (const piece of readPieces(path, chunkBytes)) {
    const rows = scanner.scan(piece);
    if (rows.length > 0) yield rows;
  }
  const rest = scanner.end();
  if (rest.length > 0) yield rest;
}

/**
 * before: nothing but spaces seen; wrapper: in the object around the list, or in one that is a row; list: in the list; rest: behind the list, in the object around
 * it; after: behind the end
 */
type Where = 'before' | 'wrapper' | 'list' | 'rest' | 'after';

class ArrayScanner {
  readonly #layout: 'list' | 'objects';
  #where: Where = 'before';
  /** open brackets */
  #depth = 0;
  /** depth of what is directly in the list */
  #rowDepth = 1;
  #inText = false;
  #escaped = false;
  /** the last text that was directly in the object around the list: the name of what comes next */
  #key: number[] = [];
  #listKey = '';
  /** a list has just been opened directly in that object; its rows are objects, or it is none of rows */
  #opened = false;
  #pieces: Buffer[] = [];
  #length = 0;
  /** byte of the file where the row begins; -1: nothing of it was seen but spaces */
  #rowOffset = -1;
  #offset = 0;
  #count = 0;
  #rows: Row[] = [];
  #junk = false;

  constructor(layout: 'list' | 'objects') {
    this.#layout = layout;
  }

  scan(chunk: Buffer): Row[] {
    let begin = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#inText) this.#inside(byte);
      else if (!isSpace(byte)) begin = this.#structure(byte, chunk, begin, at);
    }
    if (this.#where === 'list' || this.#where === 'wrapper') this.#keep(chunk.subarray(begin));
    this.#offset += chunk.length;
    return this.#take();
  }

  end(): Row[] {
    if (this.#where === 'list' || this.#where === 'rest')
      this.#broken(`the file ends inside the ${this.#where === 'list' ? 'list' : 'object around the list'}, after ${this.#count} rows`);
    if (this.#where === 'wrapper') this.#broken(this.#layout === 'list' ? 'the file ends inside its first object' : 'the file ends inside it');
    if (this.#where === 'before' && this.#junk)
      this.#broken(this.#layout === 'list' ? 'the file begins neither with [ nor with {' : 'there is something between objects');
    if (this.#where === 'after' && this.#junk) this.#broken('there is something behind the end of the list');
    return this.#take();
  }

  #inside(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inText = false;
    if (this.#inText && this.#depth === 1 && this.#key.length < LONGEST_KEY) this.#key.push(byte);
  }

  /** Takes a byte outside of texts that is no space; gives where the row's bytes begin in this chunk. */
  #structure(byte: number, chunk: Buffer, begin: number, at: number): number {
    if (this.#where === 'before') return this.#first(byte, at);
    if (this.#where === 'after') {
      this.#junk = true;
      return at;
    }
    if (this.#opened) {
      this.#opened = false;
      if (byte === OPEN_OBJECT && this.#where === 'rest') this.#tellOther(at);
      else if (byte === OPEN_OBJECT) begin = this.#enterList(at);
    }
    const ends = this.#where === 'list' && this.#depth === this.#rowDepth && (byte === COMMA || byte === CLOSE_LIST);
    if (ends) return this.#endRow(byte, chunk, begin, at);
    if (this.#rowOffset < 0) this.#rowOffset = this.#offset + at;
    this.#bracket(byte);
    if (this.#where === 'wrapper' && this.#depth === 0) return this.#endRow(byte, chunk, begin, at + 1);
    if (this.#where === 'rest' && this.#depth === 0) this.#where = 'after';
    return begin;
  }

  #bracket(byte: number): void {
    if (byte === QUOTE) {
      this.#inText = true;
      if (this.#depth === 1) this.#key = [];
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      this.#opened = byte === OPEN_LIST && this.#depth === 1 && this.#layout === 'list' && this.#where !== 'list';
      this.#depth += 1;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) this.#depth -= 1;
  }

  #first(byte: number, at: number): number {
    if (byte === OPEN_LIST && this.#layout === 'list') {
      this.#depth = 1;
      return this.#enterList(at + 1);
    }
    const isMark = this.#offset + at < 3 && byte >= 0x80; // byte order mark
    if (byte === OPEN_OBJECT) {
      this.#where = 'wrapper';
      this.#depth = 1;
      this.#rowOffset = this.#offset + at;
    } else if (!isMark) this.#junk = true;
    return at;
  }

  /** Its first row begins behind `at`, or there. */
  #enterList(at: number): number {
    this.#where = 'list';
    this.#rowDepth = this.#depth;
    this.#listKey = this.#keyText();
    this.#forget();
    return at;
  }

  /** Rows of two lists may be of different kinds, or parts of a split: which are meant is not ours to say. */
  #tellOther(at: number): void {
    const detail = `the list ${quote(this.#keyText())} was not read, only ${quote(this.#listKey)}: give it a file of its own`;
    this.#rows.push({ place: ++this.#count, offset: this.#offset + at, problem: new BadRow('row.unreadable', detail) });
  }

  #keyText(): string {
    return Buffer.from(this.#key).toString('utf8');
  }

  #endRow(byte: number, chunk: Buffer, begin: number, at: number): number {
    this.#keep(chunk.subarray(begin, at));
    const empty = this.#rowOffset < 0;
    if (!(empty && byte === CLOSE_LIST && this.#count === 0)) this.#push();
    this.#forget();
    if (byte === CLOSE_LIST) {
      this.#depth -= 1;
      this.#where = this.#depth > 0 ? 'rest' : 'after';
    } else if (byte !== COMMA) this.#where = this.#layout === 'list' ? 'after' : 'before';
    return at + 1;
  }

  #keep(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length > LONGEST_ROW) this.#pieces = [];
    else if (piece.length > 0) this.#pieces.push(piece);
  }

  #push(): void {
    const length = this.#length;
    const bytes = Buffer.concat(this.#pieces);
    this.#count += 1;
    const row = rowOf(this.#count, this.#rowOffset < 0 ? this.#offset : this.#rowOffset, () => {
      if (length > LONGEST_ROW) throw tooLong(length);
      if (this.#rowOffset < 0) throw new BadRow('row.not-json', 'there is nothing between two commas of the list');
      return parseJson(utf8Text(bytes));
    });
    this.#rows.push(row);
  }

  #broken(detail: string): void {
    this.#rows.push({ place: this.#count + 1, offset: this.#rowOffset < 0 ? this.#offset : this.#rowOffset, problem: new BadRow('row.not-json', detail) });
  }

  #forget(): void {
    this.#pieces = [];
    this.#length = 0;
    this.#rowOffset = -1;
  }

  #take(): Row[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }
}
