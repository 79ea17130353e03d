// The header of a trace file (trace-format.md).
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { MoebiusError } from '../contract/errors.ts';
import type { RouteShape } from './route-record.ts';

export const TraceHeader = z.object({
  model: z.string(),
  architecture: z.string(),
  /** block indices */
  moeLayers: z.array(z.number().int().min(0)).max(65535),
  expertCount: z.number().int().min(0).max(65535),
  expertUsedCount: z.number().int().min(0).max(65535),
});
export type TraceHeader = z.infer<typeof TraceHeader>;

export const TRACE_MAGIC = 'MOETRACE';
export const TRACE_VERSION = 1;
const FIXED_BYTES = 16;
/** A header names layers only; more is not one of ours. */
const MAXIMUM_JSON_BYTES = 2 ** 20;

export function traceShape(header: TraceHeader): RouteShape {
  return { layerCount: header.moeLayers.length, expertUsedCount: header.expertUsedCount };
}

export function encodeTraceHeader(header: TraceHeader): Uint8Array {
  const json = Buffer.from(JSON.stringify(TraceHeader.parse(header)));
  const bytes = Buffer.alloc(FIXED_BYTES + json.length + 4);
  bytes.write(TRACE_MAGIC, 'latin1');
  bytes.writeUInt32LE(TRACE_VERSION, 8);
  bytes.writeUInt32LE(json.length, 12);
  json.copy(bytes, FIXED_BYTES);
  bytes.writeUInt32LE(crc32(json), FIXED_BYTES + json.length);
  return bytes;
}

/** Null: `bytes` ends before the header does. Throws MoebiusError `file.unreadable`, `file.version` or `file.corrupt`. */
export function decodeTraceHeader(bytes: Uint8Array): { header: TraceHeader; byteLength: number } | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = buffer.toString('latin1', 0, 8);
  if (!TRACE_MAGIC.startsWith(magic))
    throw new MoebiusError('file.unreadable', `This is not a trace file: it starts with ${JSON.stringify(magic)} instead of ${TRACE_MAGIC}.`);
  if (buffer.length < FIXED_BYTES) return null;
  const version = buffer.readUInt32LE(8);
  if (version !== TRACE_VERSION) {
    throw new MoebiusError('file.version', `The trace file has format version ${version}; this program reads version ${TRACE_VERSION}.`, {
      details: { version },
    });
  }
  const jsonBytes = buffer.readUInt32LE(12);
  if (jsonBytes > MAXIMUM_JSON_BYTES) throw corruptHeader(`it announces ${jsonBytes} bytes`);
  if (buffer.length < FIXED_BYTES + jsonBytes + 4) return null;
  const json = buffer.subarray(FIXED_BYTES, FIXED_BYTES + jsonBytes);
  if (buffer.readUInt32LE(FIXED_BYTES + jsonBytes) !== crc32(json)) throw corruptHeader('its checksum does not match');
  return { header: parseHeader(json.toString('utf8')), byteLength: FIXED_BYTES + jsonBytes + 4 };
}

function parseHeader(json: string): TraceHeader {
  try {
    return TraceHeader.parse(JSON.parse(json));
  } catch (cause) {
    throw new MoebiusError('file.corrupt', 'The header of the trace file does not describe a model. Record the trace again.', { cause });
  }
}

function corruptHeader(reason: string): MoebiusError {
  return new MoebiusError('file.corrupt', `The header of the trace file is damaged: ${reason}. Record the trace again.`);
}
