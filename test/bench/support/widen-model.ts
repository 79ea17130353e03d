// Makes a large MoE with the routing of a small trained one: the experts of a qwen3moe with Q8_0 experts get hidden units whose weights are all zero. silu(0) * 0 = 0,
// and nothing comes out of the new columns of `down`: the model's function is the same to the bit, its experts are `factor` times as large.
// Run by itself: node test/bench/support/widen-model.ts FROM FACTOR TO
import { readSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readMetadata } from './gguf-metadata.ts';
import { BLOCK_BYTES, BLOCK_WEIGHTS, bytesOf, Q8_0, rewriteModel, type Tensor } from './gguf-tensors.ts';

const isExperts = (name: string) => /\.ffn_(gate|up|down)_exps\.weight$/.test(name);
const isDown = (name: string) => name.includes('ffn_down_exps');

function widened(tensor: Tensor, factor: number): Tensor {
  if (!isExperts(tensor.name)) return tensor;
  if (tensor.type !== Q8_0) throw new Error(`${tensor.name} is not Q8_0`);
  const [first = 0, second = 0, experts = 0] = tensor.shape;
  const shape = isDown(tensor.name) ? [first * factor, second, experts] : [first, second * factor, experts];
  return { ...tensor, shape, bytes: bytesOf({ ...tensor, shape }) };
}

/** Every `from` bytes of the old data are followed by zeros up to `to` bytes: rows of `down`, whole matrices of the others. */
function writeWidened(out: number, data: Buffer, from: number, to: number): void {
  const piece = Buffer.alloc(to);
  for (let at = 0; at + from <= data.length; at += from) {
    data.copy(piece, 0, at, at + from);
    writeSync(out, piece);
  }
}

function copyTensor(file: number, out: number, tensor: Tensor, factor: number): void {
  const data = Buffer.alloc(tensor.bytes);
  readSync(file, data, 0, data.length, tensor.offset);
  if (!isExperts(tensor.name)) {
    writeSync(out, data);
    return;
  }
  const [first = 0, second = 0, experts = 0] = tensor.shape;
  const row = (first / BLOCK_WEIGHTS) * BLOCK_BYTES;
  const whole = data.subarray(0, row * second * experts);
  if (!isDown(tensor.name)) {
    writeWidened(out, whole, row * second, row * second * factor);
    return;
  }
  for (let expert = 0; expert < experts; expert++) {
    const rows = whole.subarray(expert * row * second, (expert + 1) * row * second);
    const wide = Buffer.alloc(row * factor * second);
    for (let index = 0; index < second; index++) rows.copy(wide, index * row * factor, index * row, (index + 1) * row);
    writeSync(out, wide);
  }
}

/** Writes the widened model to `to`, all or nothing. Throws if the experts are not Q8_0. */
export function widenModel(from: string, factor: number, to: string): void {
  const old = readMetadata(from);
  const entries = old.map((entry) => {
    if (!entry.key.endsWith('.expert_feed_forward_length')) return entry;
    const raw = Buffer.from(entry.raw);
    raw.writeUInt32LE(raw.readUInt32LE(entry.valueOffset) * factor, entry.valueOffset);
    return { ...entry, raw };
  });
  rewriteModel(from, to, old, {
    entries,
    shaped: (tensor) => widened(tensor, factor),
    write: (file, out, tensor) => copyTensor(file, out, tensor, factor),
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from = '', factor = '', to = ''] = process.argv.slice(2);
  widenModel(from, Number(factor), to);
}
