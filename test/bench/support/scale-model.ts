// Makes a qwen3moe of larger width from a small trained one, with the same function and so the same routing: every number of a hidden state stands `factor` times
// side by side, and so do hidden units and values of heads. In queries and keys zeros stand behind each number instead: so each pair is turned by the angle that it had.
// Weights are Q8_0 as they were: a repeated weight has its scale divided by `factor`, a power of two.
// Run by itself: node test/bench/support/scale-model.ts FROM FACTOR TO
import { readSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Entry, readMetadata } from './gguf-metadata.ts';
import { BLOCK_BYTES, BLOCK_WEIGHTS, bytesOf, F32, rewriteModel, type Tensor } from './gguf-tensors.ts';

/** What becomes of a tensor's rows: numbers of a row repeated and divided, rows repeated, or followed by zero rows each. */
interface Change {
  columns: 'repeat' | 'repeat-divided' | 'zeros';
  rows: 'keep' | 'repeat' | 'zeros';
  /** of F32 rows */
  times?: number;
}

function changeOf(name: string, factor: number): Change {
  const part = name.replace(/^blk\.\d+\./, '').replace('.weight', '');
  // scores are divided by the root of the longer head, and the norm over a head with zeros gives larger numbers: queries * keys come out `factor` instead of sqrt(factor) times as large
  if (part === 'attn_q_norm') return { columns: 'zeros', rows: 'keep', times: 1 };
  if (part === 'attn_k_norm') return { columns: 'zeros', rows: 'keep', times: 1 / Math.sqrt(factor) };
  if (part === 'token_embd') return { columns: 'repeat', rows: 'keep' };
  if (part === 'output_norm') return { columns: 'repeat', rows: 'keep', times: 1 / factor }; // the embedding is the head, too
  if (part.endsWith('_norm')) return { columns: 'repeat', rows: 'keep' };
  if (part === 'ffn_gate_inp') return { columns: 'repeat-divided', rows: 'keep', times: 1 / factor };
  return { columns: 'repeat-divided', rows: part === 'attn_q' || part === 'attn_k' ? 'zeros' : 'repeat' };
}

/** One row, F32. */
function scaledFloats(row: Buffer, { columns, times = 1 }: Change, factor: number): Buffer {
  const from = new Float32Array(new Uint8Array(row).buffer);
  const to = new Float32Array(from.length * factor);
  for (const [index, value] of from.entries()) {
    if (columns === 'zeros') to[index * factor] = value * times;
    else to.fill(value * times, index * factor, (index + 1) * factor);
  }
  return Buffer.from(to.buffer);
}

/** One row, Q8_0. */
function scaledBlocks(row: Buffer, { columns }: Change, factor: number): Buffer {
  const blocks = row.length / BLOCK_BYTES;
  const to = Buffer.alloc(row.length * factor);
  const share = BLOCK_WEIGHTS / factor;
  for (let block = 0; block < blocks * factor; block++) {
    const source = Math.floor(block / factor) * BLOCK_BYTES;
    const scale = new Float16Array(new Uint8Array(row.subarray(source, source + 2)).buffer)[0] ?? 0;
    to.set(new Uint8Array(new Float16Array([columns === 'repeat' ? scale : scale / factor]).buffer), block * BLOCK_BYTES);
    for (let at = 0; at < BLOCK_WEIGHTS; at++) {
      to[block * BLOCK_BYTES + 2 + at] = row[source + 2 + (block % factor) * share + Math.floor(at / factor)] ?? 0;
    }
  }
  return to;
}

function scaledShape({ name, shape }: Tensor, factor: number): number[] {
  const [first = 1, second, third] = shape;
  if (second === undefined) return [first * factor];
  const rows = changeOf(name, factor).rows === 'keep' ? second : second * factor;
  return third === undefined ? [first * factor, rows] : [first * factor, rows, third];
}

function writeScaled(file: number, out: number, tensor: Tensor, factor: number): void {
  const [first = 1, ...others] = tensor.shape;
  const bytes = bytesOf({ ...tensor, shape: [first] });
  const change = changeOf(tensor.name, factor);
  const row = Buffer.alloc(bytes);
  const count = others.reduce((product, length) => product * length, 1);
  const pieces: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    readSync(file, row, 0, bytes, tensor.offset + index * bytes);
    const scaled = tensor.type === F32 ? scaledFloats(row, change, factor) : scaledBlocks(row, change, factor);
    const zeros = Buffer.alloc(scaled.length);
    const copies = change.rows === 'keep' ? 1 : factor;
    pieces.push(...Array.from({ length: copies }, (_, copy) => (copy > 0 && change.rows === 'zeros' ? zeros : scaled)));
    if (pieces.length > 4096 || index === count - 1) writeSync(out, Buffer.concat(pieces.splice(0)));
  }
}

const WIDTHS = ['embedding_length', 'feed_forward_length', 'expert_feed_forward_length', 'attention.key_length', 'attention.value_length'];

function scaledEntry(entry: Entry, factor: number): Entry {
  if (!WIDTHS.some((key) => entry.key === `qwen3moe.${key}`)) return entry;
  const raw = Buffer.from(entry.raw);
  raw.writeUInt32LE(raw.readUInt32LE(entry.valueOffset) * factor, entry.valueOffset);
  return { ...entry, raw };
}

/** Writes the scaled model to `to`, all or nothing. `factor`: 2, 4, 8 ... Throws if the weights are neither F32 nor Q8_0. */
export function scaleModel(from: string, factor: number, to: string): void {
  const entries = readMetadata(from);
  rewriteModel(from, to, entries, {
    entries: entries.map((entry) => scaledEntry(entry, factor)),
    shaped: (tensor) => {
      const shape = scaledShape(tensor, factor);
      return { ...tensor, shape, bytes: bytesOf({ ...tensor, shape }) };
    },
    write: (file, out, tensor) => writeScaled(file, out, tensor, factor),
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from = '', factor = '', to = ''] = process.argv.slice(2);
  scaleModel(from, Number(factor), to);
}
