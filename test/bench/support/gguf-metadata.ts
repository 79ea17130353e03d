// Reads the metadata of a GGUF file as raw entries, so that they can be copied into another file byte by byte. Format: ggml/include/gguf.h.
import { closeSync, openSync, readSync } from 'node:fs';

export const GgufType = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const;

const sizes: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

export interface Entry {
  key: string;
  /** key, type and value as in the file */
  raw: Buffer;
  /** offset in `raw` of the value (behind its type) */
  valueOffset: number;
}

const HEAD_BYTES = 24;

/** The metadata must lie within the first `limit` bytes. */
export function readMetadata(path: string, limit = 8 << 20): Entry[] {
  const file = openSync(path, 'r');
  const buffer = Buffer.alloc(limit);
  const length = readSync(file, buffer, 0, limit, 0);
  closeSync(file);
  const bytes = buffer.subarray(0, length);
  if (bytes.toString('latin1', 0, 4) !== 'GGUF') throw new Error(`${path} is not a GGUF file`);
  const count = Number(bytes.readBigUInt64LE(16));
  const entries: Entry[] = [];
  let offset = HEAD_BYTES;
  for (let index = 0; index < count; index++) {
    const start = offset;
    const key = readString(bytes, offset);
    const valueOffset = offset + 8 + Buffer.byteLength(key) + 4;
    offset = skipValue(bytes, valueOffset, bytes.readUInt32LE(valueOffset - 4));
    entries.push({ key, raw: bytes.subarray(start, offset), valueOffset: valueOffset - start });
  }
  return entries;
}

/** The strings of a string array. */
export function readStrings({ key, raw, valueOffset }: Entry): string[] {
  if (raw.readUInt32LE(valueOffset) !== GgufType.string) throw new Error(`${key} is not an array of strings`);
  const strings: string[] = [];
  let offset = valueOffset + 12;
  for (let count = Number(raw.readBigUInt64LE(valueOffset + 4)); count > 0; count--) {
    const text = readString(raw, offset);
    strings.push(text);
    offset += 8 + Buffer.byteLength(text);
  }
  return strings;
}

function readString(bytes: Buffer, offset: number): string {
  const length = Number(bytes.readBigUInt64LE(offset));
  return bytes.toString('utf8', offset + 8, offset + 8 + length);
}

/** Offset behind the value at `offset`. */
function skipValue(bytes: Buffer, offset: number, type: number): number {
  if (type === GgufType.string) return offset + 8 + Number(bytes.readBigUInt64LE(offset));
  if (type !== GgufType.array) return offset + sizeOf(type);
  const itemType = bytes.readUInt32LE(offset);
  const count = Number(bytes.readBigUInt64LE(offset + 4));
  if (itemType !== GgufType.string) return offset + 12 + count * sizeOf(itemType);
  let end = offset + 12;
  for (let index = 0; index < count; index++) end += 8 + Number(bytes.readBigUInt64LE(end));
  return end;
}

function sizeOf(type: number): number {
  const size = sizes[type];
  if (size === undefined) throw new Error(`metadata of type ${type}`);
  return size;
}
