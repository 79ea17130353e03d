import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeRecord, type RouteRecord } from '../../../main/experts/route-record.ts';
import { encodeTraceHeader, type TraceHeader, traceShape } from '../../../main/experts/trace-header.ts';
import { parseTrace, TraceFile, TraceParser } from '../../../main/experts/trace-reader.ts';
import { TraceWriter } from '../../../main/experts/trace-writer.ts';
import { routesFrame } from '../../support/engine-double.ts';

const header: TraceHeader = { model: 'tiny – moe', architecture: 'qwen3moe', moeLayers: [1, 3], expertCount: 4, expertUsedCount: 2 };

function encodeTrace(head: TraceHeader, records: RouteRecord[]): Uint8Array {
  return Buffer.concat([encodeTraceHeader(head), ...records.map((record) => encodeRecord(record, traceShape(head)))]);
}
const small = encodeTrace(header, [
  { sequence: 1, ...routesFrame(0, [5, 6, 7]) },
  { sequence: 2, ...routesFrame(9, [-1]) },
]);
const borders = [encodeTraceHeader(header).length, encodeTraceHeader(header).length + 8 + 12 + 3 * 20, small.length];

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'moebius-trace-')), 'a.moetrace');
});
afterEach(() => rmSync(join(path, '..'), { recursive: true }));

async function readFile(): Promise<{ records: RouteRecord[]; trace: TraceFile }> {
  const trace = new TraceFile(path);
  const records: RouteRecord[] = [];
  for await (const record of trace) records.push(record);
  return { records, trace };
}

/** Any trace; weights are values that f16 holds, since the format rounds to it. */
const anyTrace = fc
  .record({
    layerCount: fc.integer({ min: 0, max: 4 }),
    expertUsedCount: fc.integer({ min: 0, max: 3 }),
    model: fc.string(),
    sizes: fc.array(fc.nat(5), { maxLength: 5 }),
  })
  .chain(({ layerCount, expertUsedCount, model, sizes }) => {
    const anyHeader: TraceHeader = { ...header, model, moeLayers: Array.from({ length: layerCount }, (_, index) => index * 2), expertUsedCount };
    const u32 = fc.nat(0xffffffff);
    const records = sizes.map((tokens) => {
      const cells = tokens * layerCount * expertUsedCount;
      return fc.record({
        sequence: u32,
        firstPosition: u32,
        tokenIds: fc.int32Array({ minLength: tokens, maxLength: tokens }),
        experts: fc.uint16Array({ minLength: cells, maxLength: cells }),
        weights: fc.array(fc.nat(2048), { minLength: cells, maxLength: cells }).map((values) => Float32Array.from(values, (value) => value / 2048)),
      });
    });
    return fc.record({ header: fc.constant(anyHeader), records: fc.tuple(...records) });
  });

describe('trace format', () => {
  it('gives back what was written, for any trace and any cut into chunks', () => {
    fc.assert(
      fc.property(anyTrace, fc.integer({ min: 1, max: 40 }), (trace, chunk) => {
        const bytes = encodeTrace(trace.header, trace.records);
        expect(parseTrace(bytes)).toEqual({ ...trace, tail: { state: 'whole' } });
        const parser = new TraceParser();
        const records: RouteRecord[] = [];
        for (let offset = 0; offset < bytes.length; offset += chunk) records.push(...parser.push(bytes.subarray(offset, offset + chunk)));
        expect({ header: parser.header, records, tail: parser.end() }).toEqual({ ...trace, tail: { state: 'whole' } });
      }),
    );
  });

  it('keeps every whole record of a file cut at any byte, and says where it was cut', () => {
    const whole = parseTrace(small).records;
    for (let length = 0; length < small.length; length++) {
      const cut = small.subarray(0, length);
      const [headerEnd = 0] = borders;
      if (length < headerEnd) {
        expect(() => parseTrace(cut)).toThrow(`ends after ${length} bytes`);
        continue;
      }
      const { records, tail } = parseTrace(cut);
      const complete = borders.filter((border) => border <= length).length - 1;
      const last = borders[complete] ?? 0;
      expect(records).toEqual(whole.slice(0, complete));
      expect(tail).toEqual(length === last ? { state: 'whole' } : { state: 'truncated', offset: last, bytes: length - last });
    }
  });

  it('notices every flipped byte: an error, or a tail that is not whole, and never a wrong record', () => {
    const whole = parseTrace(small).records;
    for (let at = 0; at < small.length; at++) {
      const flipped = Buffer.from(small);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      let read: ReturnType<typeof parseTrace>;
      try {
        read = parseTrace(flipped);
      } catch (error) {
        expect(error).toMatchObject({ name: 'MoebiusError', code: expect.stringMatching(/^file\./) });
        continue;
      }
      expect(read.tail.state).not.toBe('whole');
      expect(whole.slice(0, read.records.length)).toEqual(read.records);
    }
  });

  it('refuses other files and other versions by name', () => {
    expect(() => parseTrace(Buffer.from('GGUF and more bytes'))).toThrow('not a trace file');
    const newer = Buffer.from(small);
    newer.writeUInt32LE(2, 8);
    expect(() => parseTrace(newer)).toThrow('format version 2');
  });
});

describe('TraceWriter and TraceFile', () => {
  it('writes concurrent appends in order and streams them back', async () => {
    const writer = await TraceWriter.create(path, header);
    await Promise.all(Array.from({ length: 50 }, (_, sequence) => writer.write(sequence, routesFrame(sequence, [sequence]))));
    await writer.close();
    const { records, trace } = await readFile();
    expect(records.map((record) => record.sequence)).toEqual(Array.from({ length: 50 }, (_, sequence) => sequence));
    expect(trace).toMatchObject({ header, tail: { state: 'whole' } });
  });

  it('goes on with a file, after cutting off a truncated tail', async () => {
    writeFileSync(path, small.subarray(0, small.length - 3));
    const writer = await TraceWriter.append(path, header);
    await writer.write(7, routesFrame(0, [1]));
    await writer.close();
    const { records, trace } = await readFile();
    expect(records.map((record) => record.sequence)).toEqual([1, 7]);
    expect(trace.tail).toEqual({ state: 'whole' });
  });

  it('does not go on with a damaged file, another model or a frame of another shape', async () => {
    writeFileSync(path, small);
    await expect(TraceWriter.append(path, { ...header, model: 'other' })).rejects.toMatchObject({
      code: 'request.invalid',
      message: expect.stringContaining('not of other'),
    });
    const writer = await TraceWriter.append(path, header);
    expect(() => writer.write(1, { ...routesFrame(0, [1]), layerCount: 3 })).toThrow('3 x 2');
    await writer.close();
    appendFileSync(path, Buffer.alloc(40));
    await expect(TraceWriter.append(path, header)).rejects.toMatchObject({ code: 'file.corrupt', message: expect.stringContaining(`byte ${small.length}`) });
    expect(readFileSync(path).length).toBe(small.length + 40);
  });
});
