// Makes a MoE model of 1.1 GB with random weights: the shape of a real qwen3moe in small, valid for stock llama.cpp. It is fast or slow as a trained one is.
// Run by itself: node test/bench/support/make-model.ts FILE
import { closeSync, openSync, renameSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GgufType, readMetadata } from './gguf-metadata.ts';
import { tinyModel } from './paths.ts';
import { Random } from './random.ts';

/** 14 layers of 48 experts, 4 used: 1.1 GB, of which a token touches about 150 MB. */
export const shape = {
  layers: 14,
  embedding: 1024,
  heads: 16,
  headsKv: 4,
  headLength: 64,
  experts: 48,
  expertsUsed: 4,
  expertWidth: 512,
  context: 4096,
  vocabulary: 4096,
};

interface Tensor {
  name: string;
  /** ggml order: ne[0] first */
  shape: number[];
  type: 'F32' | 'Q8_0';
  /** standard deviation of the weights; 0: all ones */
  deviation: number;
}

const ALIGNMENT = 32;
const typeNumbers = { F32: 0, Q8_0: 8 };
const FILE_TYPE_Q8_0 = 7;

/** ggml's Q8_0: 32 weights are an f16 scale and 32 int8. */
const BLOCK_WEIGHTS = 32;
const BLOCK_BYTES = 34;
/** standard deviation of a uniform int8 */
const INT8_DEVIATION = 73.9;

function listTensors(): Tensor[] {
  const { embedding, heads, headsKv, headLength, experts, expertWidth, layers, vocabulary } = shape;
  const matrix = (name: string, dimensions: number[]): Tensor => ({ name, shape: dimensions, type: 'Q8_0', deviation: 1 / Math.sqrt(dimensions[0] ?? 1) });
  const norm = (name: string, length: number): Tensor => ({ name, shape: [length], type: 'F32', deviation: 0 });
  const layer = (index: number): Tensor[] => {
    const at = (name: string) => `blk.${index}.${name}.weight`;
    return [
      norm(at('attn_norm'), embedding),
      matrix(at('attn_q'), [embedding, heads * headLength]),
      matrix(at('attn_k'), [embedding, headsKv * headLength]),
      matrix(at('attn_v'), [embedding, headsKv * headLength]),
      matrix(at('attn_output'), [heads * headLength, embedding]),
      norm(at('attn_q_norm'), headLength),
      norm(at('attn_k_norm'), headLength),
      norm(at('ffn_norm'), embedding),
      { name: at('ffn_gate_inp'), shape: [embedding, experts], type: 'F32', deviation: 1.5 / Math.sqrt(embedding) },
      matrix(at('ffn_gate_exps'), [embedding, expertWidth, experts]),
      matrix(at('ffn_up_exps'), [embedding, expertWidth, experts]),
      matrix(at('ffn_down_exps'), [expertWidth, embedding, experts]),
    ];
  };
  const blocks = Array.from({ length: layers }, (_, index) => layer(index)).flat();
  return [matrix('token_embd.weight', [embedding, vocabulary]), norm('output_norm.weight', embedding), ...blocks];
}

const weightsOf = (tensor: Tensor) => tensor.shape.reduce((product, length) => product * length, 1);
const bytesOf = (tensor: Tensor) => (tensor.type === 'F32' ? weightsOf(tensor) * 4 : (weightsOf(tensor) / BLOCK_WEIGHTS) * BLOCK_BYTES);
const pad = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

const u32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer);
const u64 = (value: number) => Buffer.from(new BigUint64Array([BigInt(value)]).buffer);
const f32 = (value: number) => Buffer.from(new Float32Array([value]).buffer);
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

/** The tokenizer is that of tiny-moe, entry by entry. */
function metadata(): Buffer[] {
  const { uint32, float32, string } = GgufType;
  const entry = (key: string, type: number, value: Buffer) => Buffer.concat([text(key), u32(type), value]);
  const numbers: Record<string, number> = {
    block_count: shape.layers,
    context_length: shape.context,
    embedding_length: shape.embedding,
    feed_forward_length: shape.expertWidth * shape.expertsUsed,
    expert_feed_forward_length: shape.expertWidth,
    'attention.head_count': shape.heads,
    'attention.head_count_kv': shape.headsKv,
    'attention.key_length': shape.headLength,
    'attention.value_length': shape.headLength,
    expert_count: shape.experts,
    expert_used_count: shape.expertsUsed,
  };
  return [
    entry('general.architecture', string, text('qwen3moe')),
    entry('general.name', string, text('Random MoE for benchmarks')),
    entry('general.quantization_version', uint32, u32(2)),
    entry('general.file_type', uint32, u32(FILE_TYPE_Q8_0)),
    ...Object.entries(numbers).map(([key, value]) => entry(`qwen3moe.${key}`, uint32, u32(value))),
    entry('qwen3moe.attention.layer_norm_rms_epsilon', float32, f32(1e-6)),
    entry('qwen3moe.rope.freq_base', float32, f32(10_000)),
    ...readMetadata(tinyModel)
      .filter(({ key }) => key.startsWith('tokenizer.'))
      .map(({ raw }) => raw),
  ];
}

function header(tensors: Tensor[]): Buffer {
  const entries = metadata();
  let offset = 0;
  const infos = tensors.map((tensor) => {
    const info = Buffer.concat([text(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(typeNumbers[tensor.type]), u64(offset)]);
    offset += pad(bytesOf(tensor));
    return info;
  });
  const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length), ...entries, ...infos]);
  return Buffer.concat([head, Buffer.alloc(pad(head.length) - head.length)]);
}

/** Whole blocks, so that the scale can be put into each. */
const CHUNK_BYTES = BLOCK_BYTES * 65_536;

function writeQuantised(file: number, tensor: Tensor, random: Random): void {
  const scale = new Uint16Array(new Float16Array([tensor.deviation / INT8_DEVIATION]).buffer)[0] ?? 0;
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let left = bytesOf(tensor); left > 0; left -= CHUNK_BYTES) {
    random.fill(chunk);
    for (let block = 0; block < CHUNK_BYTES; block += BLOCK_BYTES) chunk.writeUInt16LE(scale, block);
    writeSync(file, chunk, 0, Math.min(left, CHUNK_BYTES));
  }
}

function writeFloats(file: number, tensor: Tensor, random: Random): void {
  const values = Float32Array.from({ length: weightsOf(tensor) }, () => (tensor.deviation === 0 ? 1 : random.normal() * tensor.deviation));
  writeSync(file, new Uint8Array(values.buffer));
}

/** Writes the model to `path`, all or nothing; about 10 s. Every call gives the same bytes. */
export function makeModel(path: string): void {
  const tensors = listTensors();
  const random = new Random(20_260_101);
  const file = openSync(`${path}.new`, 'w');
  try {
    writeSync(file, header(tensors));
    for (const tensor of tensors) {
      if (tensor.type === 'Q8_0') writeQuantised(file, tensor, random);
      else writeFloats(file, tensor, random);
      writeSync(file, Buffer.alloc(pad(bytesOf(tensor)) - bytesOf(tensor)));
    }
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , path] = process.argv;
  if (path) makeModel(path);
  else process.stderr.write('usage: node test/bench/support/make-model.ts FILE\n');
}
