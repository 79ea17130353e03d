// Writes trace files (trace-format.md): creates them, or goes on with one that exists.
import { type FileHandle, open } from 'node:fs/promises';
import { MoebiusError } from '../contract/errors.ts';
import type { RoutesFrame } from '../engine/engine.ts';
import { encodeRecord } from './route-record.ts';
import { encodeTraceHeader, type TraceHeader, traceShape } from './trace-header.ts';
import { TraceFile } from './trace-reader.ts';

/** Appends are written in the order of the calls. A failed write fails that call and `close`; the file then ends in a truncated tail, which readers detect. */
export class TraceWriter {
  readonly header: TraceHeader;
  readonly #file: FileHandle;
  #last: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle, header: TraceHeader) {
    this.#file = file;
    this.header = header;
  }

  /** Replaces what is at `path`. */
  static async create(path: string, header: TraceHeader): Promise<TraceWriter> {
    const file = await open(path, 'w');
    await file.writeFile(encodeTraceHeader(header));
    return new TraceWriter(file, header);
  }

  /** Goes on after the last whole record. Throws MoebiusError when the file is damaged or is of a model of another shape. */
  static async append(path: string, header: TraceHeader): Promise<TraceWriter> {
    const trace = new TraceFile(path);
    for await (const _ of trace); // to its end
    const tail = trace.tail;
    if (tail?.state === 'corrupt') {
      throw new MoebiusError('file.corrupt', `The trace file ${path} is damaged at byte ${tail.offset}: ${tail.reason}. Start a new one.`, {
        details: { path, ...tail },
      });
    }
    if (JSON.stringify(trace.header) !== JSON.stringify(header)) {
      throw new MoebiusError('request.invalid', `The trace file ${path} is of the model ${trace.header?.model}, not of ${header.model}. Start a new one.`, {
        details: { path },
      });
    }
    const file = await open(path, 'r+');
    if (tail?.state === 'truncated') await file.truncate(tail.offset);
    await file.close();
    return new TraceWriter(await open(path, 'a'), header);
  }

  /** `sequence` numbers the generation that the frame is of. Resolves when the record is written. */
  write(sequence: number, frame: RoutesFrame): Promise<void> {
    const shape = traceShape(this.header);
    if (frame.layerCount !== shape.layerCount || frame.expertUsedCount !== shape.expertUsedCount) {
      throw new Error(`a frame of ${frame.layerCount} x ${frame.expertUsedCount} in a trace of ${shape.layerCount} x ${shape.expertUsedCount}`);
    }
    const record = encodeRecord({ sequence, ...frame }, shape);
    this.#last = this.#last.then(() => this.#file.writeFile(record));
    this.#last.catch(() => {}); // close() rejects with it too
    return this.#last;
  }

  /** Waits for every write, then closes. */
  async close(): Promise<void> {
    try {
      await this.#last;
    } finally {
      await this.#file.close();
    }
  }
}
