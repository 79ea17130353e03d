// The header of a GGUF file, read and written without the engine: keys with their values as bytes, and what there is of tensors.

export interface Entry {
  key: string;
  type: number;
  payload: Buffer;
}

export interface TensorEntry {
  name: string;
  dimensions: bigint[];
  type: number;
  offset: bigint;
}

export interface Header {
  keys: Entry[];
  tensors: TensorEntry[];
}

export const STRING = 8;
export const ARRAY = 9;
const scalarBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes;
}

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(BigInt(bytes.length)), bytes]);
}

/** Reads a file that is known to be good. */
class Walker {
  at = 24;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u32(): number {
    this.at += 4;
    return this.#bytes.readUInt32LE(this.at - 4);
  }

  u64(): bigint {
    this.at += 8;
    return this.#bytes.readBigUInt64LE(this.at - 8);
  }

  text(): string {
    const length = Number(this.u64());
    this.at += length;
    return this.#bytes.toString('utf8', this.at - length, this.at);
  }

  skip(type: number): void {
    if (type === STRING) this.text();
    else if (type === ARRAY) {
      const element = this.u32();
      for (let left = this.u64(); left > 0n; left--) this.skip(element);
    } else this.at += scalarBytes[type] ?? 0;
  }

  entry(): Entry {
    const key = this.text();
    const type = this.u32();
    const start = this.at;
    this.skip(type);
    return { key, type, payload: Buffer.from(this.#bytes.subarray(start, this.at)) };
  }

  tensor(): TensorEntry {
    const name = this.text();
    const dimensions = Array.from({ length: this.u32() }, () => this.u64());
    return { name, dimensions, type: this.u32(), offset: this.u64() };
  }
}

/** Of a file, or of the beginning of one that is as long as its header. */
export function parseHeader(bytes: Buffer): Header {
  const walker = new Walker(bytes);
  const tensorCount = Number(bytes.readBigUInt64LE(8));
  const keys = Array.from({ length: Number(bytes.readBigUInt64LE(16)) }, () => walker.entry());
  return { keys, tensors: Array.from({ length: tensorCount }, () => walker.tensor()) };
}

/** With the zeros behind it that tensors' data begins after. */
export function serialiseHeader(header: Header): Buffer {
  const parts = [Buffer.from('GGUF'), u32(3), u64(BigInt(header.tensors.length)), u64(BigInt(header.keys.length))];
  for (const entry of header.keys) parts.push(text(entry.key), u32(entry.type), entry.payload);
  for (const tensor of header.tensors) {
    parts.push(text(tensor.name), u32(tensor.dimensions.length), ...tensor.dimensions.map(u64), u32(tensor.type), u64(tensor.offset));
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...parts, Buffer.alloc((32 - (length % 32)) % 32)]);
}
