// Reads trace files (trace-format.md), whole or as a stream.
import { createReadStream } from 'node:fs';
import { MoebiusError } from '../contract/errors.ts';
import { decodeRecord, type RouteRecord } from './route-record.ts';
import { decodeTraceHeader, type TraceHeader, traceShape } from './trace-header.ts';

/** What follows the last good record. */
export type TraceTail =
  /** nothing */
  | { state: 'whole' }
  /** a record that was not written to its end; everything before `offset` is good */
  | { state: 'truncated'; offset: number; bytes: number }
  /** damaged bytes; what follows them cannot be read */
  | { state: 'corrupt'; offset: number; reason: string };

/** Cuts a stream of bytes into header and records. Push chunks in order, then call `end`. */
export class TraceParser {
  #header: TraceHeader | null = null;
  #pending: Uint8Array = new Uint8Array(0);
  /** of `#pending` in the file */
  #offset = 0;
  #corrupt: TraceTail | null = null;

  /** Null until its last byte was pushed. */
  get header(): TraceHeader | null {
    return this.#header;
  }

  /** Yields the records that `chunk` completes. Throws MoebiusError when the header cannot be used. */
  *push(chunk: Uint8Array): Generator<RouteRecord> {
    this.#pending = this.#pending.byteLength === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    if (this.#header === null) {
      const decoded = decodeTraceHeader(this.#pending);
      if (decoded === null) return;
      this.#header = decoded.header;
      this.#advance(decoded.byteLength);
    }
    const shape = traceShape(this.#header);
    while (this.#corrupt === null) {
      const decoded = decodeRecord(this.#pending, shape);
      if (decoded.status === 'incomplete') return;
      if (decoded.status === 'corrupt') this.#corrupt = { state: 'corrupt', offset: this.#offset, reason: decoded.reason };
      else {
        this.#advance(decoded.byteLength);
        yield decoded.record;
      }
    }
  }

  /** Throws MoebiusError `file.truncated` when not even the header is whole. */
  end(): TraceTail {
    if (this.#header === null) {
      const bytes = this.#pending.byteLength;
      throw new MoebiusError('file.truncated', `The trace file ends after ${bytes} bytes, inside its header. Record the trace again.`, { details: { bytes } });
    }
    if (this.#corrupt !== null) return this.#corrupt;
    const bytes = this.#pending.byteLength;
    return bytes === 0 ? { state: 'whole' } : { state: 'truncated', offset: this.#offset, bytes };
  }

  #advance(byteCount: number): void {
    this.#pending = this.#pending.subarray(byteCount);
    this.#offset += byteCount;
  }
}

/** Reads a whole trace from memory. */
export function parseTrace(bytes: Uint8Array): { header: TraceHeader; records: RouteRecord[]; tail: TraceTail } {
  const parser = new TraceParser();
  const records = [...parser.push(bytes)];
  const tail = parser.end();
  if (parser.header === null) throw new Error('a trace that ended well has a header');
  return { header: parser.header, records, tail };
}

/**
 * Reads a trace file record by record: `for await (const record of trace)`, with memory for one chunk and one record.
 * `header` is known from the first record on (or the end), `tail` after the last one. It can be iterated again.
 */
export class TraceFile implements AsyncIterable<RouteRecord> {
  readonly #path: string;
  #header: TraceHeader | null = null;
  #tail: TraceTail | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  get header(): TraceHeader | null {
    return this.#header;
  }

  get tail(): TraceTail | null {
    return this.#tail;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<RouteRecord> {
    this.#tail = null;
    const parser = new TraceParser();
    for await (const chunk of createReadStream(this.#path)) {
      // without an encoding a file stream yields Buffers
      for (const record of parser.push(chunk as Buffer)) {
        this.#header = parser.header;
        yield record;
      }
    }
    this.#tail = parser.end();
    this.#header = parser.header;
  }
}
