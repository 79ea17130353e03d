// One record of trace-format.md: the routes of consecutive tokens of one sequence. Typed arrays need a little-endian host, as frames.ts does.
import { crc32 } from 'node:zlib';

/** experts and weights are [token][moeLayer][k], flat; 0xFFFF = not computed. */
export interface RouteRecord {
  sequence: number;
  firstPosition: number;
  tokenIds: Int32Array;
  experts: Uint16Array;
  weights: Float32Array;
}

export interface RouteShape {
  layerCount: number;
  expertUsedCount: number;
}

export const NOT_COMPUTED = 0xffff;
/** payloadBytes and crc around the payload. */
export const RECORD_OVERHEAD = 8;
const PAYLOAD_HEADER = 12;
const BYTES_PER_ROUTE = 4;

/** Payload bytes of a record. */
export function payloadBytes(tokenCount: number, shape: RouteShape): number {
  return PAYLOAD_HEADER + tokenCount * (4 + shape.layerCount * shape.expertUsedCount * BYTES_PER_ROUTE);
}

/** The whole record with its length and CRC. Weights become f16. */
export function encodeRecord(record: RouteRecord, shape: RouteShape): Uint8Array {
  const tokenCount = record.tokenIds.length;
  const cells = tokenCount * shape.layerCount * shape.expertUsedCount;
  if (record.experts.length !== cells || record.weights.length !== cells) {
    throw new Error(
      `${record.experts.length} experts and ${record.weights.length} weights for ${tokenCount} tokens of ${shape.layerCount} x ${shape.expertUsedCount}`,
    );
  }
  const length = payloadBytes(tokenCount, shape);
  const bytes = new Uint8Array(length + RECORD_OVERHEAD);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length, true);
  [record.sequence, record.firstPosition, tokenCount].forEach((value, index) => {
    view.setUint32(4 + index * 4, value, true);
  });
  const parts = [record.tokenIds, record.experts, new Float16Array(record.weights)];
  let offset = 4 + PAYLOAD_HEADER;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), offset);
    offset += part.byteLength;
  }
  view.setUint32(offset, crc32(bytes.subarray(4, offset)), true);
  return bytes;
}

export type DecodedRecord = { status: 'record'; record: RouteRecord; byteLength: number } | { status: 'incomplete' } | { status: 'corrupt'; reason: string };

/** Reads the record at the start of `bytes`. `incomplete`: more bytes are needed. The arrays are copies. */
export function decodeRecord(bytes: Uint8Array, shape: RouteShape): DecodedRecord {
  if (bytes.byteLength < 4) return { status: 'incomplete' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  if (bytes.byteLength >= 16) {
    const expected = payloadBytes(view.getUint32(12, true), shape);
    if (length !== expected) return { status: 'corrupt', reason: `a record of ${length} bytes, its ${view.getUint32(12, true)} tokens need ${expected}` };
  }
  if (bytes.byteLength < length + RECORD_OVERHEAD) return { status: 'incomplete' };
  if (view.getUint32(4 + length, true) !== crc32(bytes.subarray(4, 4 + length))) return { status: 'corrupt', reason: 'its checksum does not match' };
  const tokenCount = view.getUint32(12, true);
  const cellBytes = tokenCount * shape.layerCount * shape.expertUsedCount * 2;
  const ids = 4 + PAYLOAD_HEADER;
  const experts = ids + tokenCount * 4;
  const copy = (start: number, byteCount: number) => bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + start + byteCount);
  const record = {
    sequence: view.getUint32(4, true),
    firstPosition: view.getUint32(8, true),
    tokenIds: new Int32Array(copy(ids, tokenCount * 4)),
    experts: new Uint16Array(copy(experts, cellBytes)),
    weights: new Float32Array(new Float16Array(copy(experts + cellBytes, cellBytes))),
  };
  return { status: 'record', record, byteLength: length + RECORD_OVERHEAD };
}
