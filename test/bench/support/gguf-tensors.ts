// Tensors of a GGUF file, to be written into another one with other shapes. Format: ggml/include/gguf.h.
import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import type { Entry } from './gguf-metadata.ts';

export interface Tensor {
  name: string;
  /** ggml order: ne[0] first */
  shape: number[];
  type: number;
  /** in the file */
  offset: number;
  bytes: number;
}

const ALIGNMENT = 32;
export const F32 = 0;
/** ggml's Q8_0: 32 weights are an f16 scale and 32 int8. */
export const Q8_0 = 8;
export const BLOCK_WEIGHTS = 32;
export const BLOCK_BYTES = 34;
const pad = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const u32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer);
const u64 = (value: number) => Buffer.from(new BigUint64Array([BigInt(value)]).buffer);

export const weightsOf = ({ shape }: Pick<Tensor, 'shape'>) => shape.reduce((product, length) => product * length, 1);

/** Of F32 and Q8_0. */
export function bytesOf(tensor: Pick<Tensor, 'name' | 'shape' | 'type'>): number {
  if (tensor.type === F32) return weightsOf(tensor) * 4;
  if (tensor.type !== Q8_0) throw new Error(`${tensor.name} is neither F32 nor Q8_0`);
  return (weightsOf(tensor) / BLOCK_WEIGHTS) * BLOCK_BYTES;
}

/** Tensors in the order of their data. */
function readTensors(file: number, entries: Entry[]): Tensor[] {
  const head = Buffer.alloc(8 << 20);
  readSync(file, head, 0, head.length, 0);
  let at = 24 + entries.reduce((sum, { raw }) => sum + raw.length, 0);
  const tensors = Array.from({ length: Number(head.readBigUInt64LE(8)) }, () => {
    const length = Number(head.readBigUInt64LE(at));
    const name = head.toString('utf8', at + 8, at + 8 + length);
    at += 8 + length;
    const shape = Array.from({ length: head.readUInt32LE(at) }, (_, index) => Number(head.readBigUInt64LE(at + 4 + index * 8)));
    at += 4 + shape.length * 8;
    const tensor = { name, shape, type: head.readUInt32LE(at), offset: Number(head.readBigUInt64LE(at + 4)), bytes: 0 };
    at += 12;
    return tensor;
  });
  const data = pad(at);
  const ordered = tensors.toSorted((a, b) => a.offset - b.offset).map((tensor) => ({ ...tensor, offset: tensor.offset + data }));
  const end = fstatSync(file).size;
  // The last padding counts as the tensor's: it is copied with it.
  return ordered.map((tensor, index) => ({ ...tensor, bytes: (ordered[index + 1]?.offset ?? end) - tensor.offset }));
}

/** Everything before the first tensor's data; each tensor's `bytes` are to follow, padded. */
function writeHead(out: number, entries: Entry[], tensors: Omit<Tensor, 'offset'>[]): void {
  let offset = 0;
  const infos = tensors.map(({ name, shape, type, bytes }) => {
    const info = Buffer.concat([u64(Buffer.byteLength(name)), Buffer.from(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);
    offset += pad(bytes);
    return info;
  });
  const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length), ...entries.map(({ raw }) => raw), ...infos]);
  writeSync(out, Buffer.concat([head, Buffer.alloc(pad(head.length) - head.length)]));
}

export interface Rewriting {
  /** metadata of the new file */
  entries: Entry[];
  /** shape and bytes of a tensor there */
  shaped: (tensor: Tensor) => Tensor;
  /** writes its data, without the padding; `tensor` is as in the old file */
  write: (file: number, out: number, tensor: Tensor) => void;
}

/** Writes `from` with other tensors to `to`, all or nothing. */
export function rewriteModel(from: string, to: string, oldEntries: Entry[], { entries, shaped, write }: Rewriting): void {
  const file = openSync(from, 'r');
  const out = openSync(`${to}.new`, 'w');
  try {
    const tensors = readTensors(file, oldEntries);
    const made = tensors.map(shaped);
    writeHead(out, entries, made);
    for (const [index, tensor] of tensors.entries()) {
      write(file, out, tensor);
      const bytes = made[index]?.bytes ?? 0;
      writeSync(out, Buffer.alloc(pad(bytes) - bytes));
    }
  } finally {
    closeSync(file);
    closeSync(out);
  }
  renameSync(`${to}.new`, to);
}
