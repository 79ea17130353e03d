// A small model of random weights in the architecture of DeepSeek-V2-Lite (deepseek2), with the tokenizer and the template of the tiny model.
import { readFileSync, writeFileSync } from 'node:fs';
import { tinyModel } from './engine.ts';
import { type Entry, type Header, parseHeader, STRING, serialiseHeader, text, u32 } from './gguf-header.ts';
import { Random } from './random.ts';

const U32 = 4;
const F32 = 6; // of a key
const WEIGHTS_F32 = 0; // of a tensor
const VOCABULARY = 4096;
const [LAYERS, EMBEDDING, FEED_FORWARD, EXPERTS, HEADS] = [2, 32, 32, 4, 2];
/** latent attention: what keys and values are made from, a head's numbers, those of them that are turned, a value's */
const [LATENT, HEAD, TURNED, VALUE] = [32, 24, 8, 16];

const numbers: Record<string, number> = {
  context_length: 512,
  embedding_length: EMBEDDING,
  block_count: LAYERS,
  feed_forward_length: FEED_FORWARD,
  expert_feed_forward_length: FEED_FORWARD,
  leading_dense_block_count: 1,
  expert_count: EXPERTS,
  expert_used_count: 2,
  expert_shared_count: 1,
  expert_gating_func: 1, // softmax
  'attention.head_count': HEADS,
  'attention.head_count_kv': HEADS,
  'attention.q_lora_rank': 0,
  'attention.kv_lora_rank': LATENT,
  'attention.key_length': HEAD,
  'attention.value_length': VALUE,
  'rope.dimension_count': TURNED,
};
const reals: Record<string, number> = { 'attention.layer_norm_rms_epsilon': 1e-5, 'rope.freq_base': 10_000 };

function keys(): Entry[] {
  const real = (value: number) => Buffer.from(new Float32Array([value]).buffer);
  return [
    { key: 'general.architecture', type: STRING, payload: text('deepseek2') },
    { key: 'general.name', type: STRING, payload: text('small deepseek2') },
    ...Object.entries(numbers).map(([name, value]) => ({ key: `deepseek2.${name}`, type: U32, payload: u32(value) })),
    ...Object.entries(reals).map(([name, value]) => ({ key: `deepseek2.${name}`, type: F32, payload: real(value) })),
    ...parseHeader(readFileSync(tinyModel)).keys.filter(({ key }) => key.startsWith('tokenizer.')),
  ];
}

/** [columns, rows, experts] by name */
function shapes(): Record<string, number[]> {
  const all: Record<string, number[]> = { token_embd: [EMBEDDING, VOCABULARY], output: [EMBEDDING, VOCABULARY], output_norm: [EMBEDDING] };
  for (let layer = 0; layer < LAYERS; layer++) {
    const add = (name: string, ...shape: number[]) => {
      all[`blk.${layer}.${name}`] = shape;
    };
    const addFfn = (end: string, ...experts: number[]) => {
      for (const part of ['gate', 'up']) add(`ffn_${part}${end}`, EMBEDDING, FEED_FORWARD, ...experts);
      add(`ffn_down${end}`, FEED_FORWARD, EMBEDDING, ...experts);
    };
    for (const name of ['attn_norm', 'ffn_norm']) add(name, EMBEDDING);
    add('attn_q', EMBEDDING, HEADS * HEAD);
    add('attn_kv_a_mqa', EMBEDDING, LATENT + TURNED);
    add('attn_kv_a_norm', LATENT);
    add('attn_kv_b', LATENT, HEADS * (HEAD - TURNED + VALUE));
    add('attn_output', HEADS * VALUE, EMBEDDING);
    if (layer === 0) addFfn('');
    else {
      add('ffn_gate_inp', EMBEDDING, EXPERTS);
      addFfn('_exps', EXPERTS);
      addFfn('_shexp');
    }
  }
  return all;
}

/** The same weights each time: norms of ones, matrices whose products keep numbers' size. */
export function writeSmallDeepseek(path: string): void {
  const random = new Random(1);
  const header: Header = { keys: keys(), tensors: [] };
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, shape] of Object.entries(shapes())) {
    const [columns = 1] = shape;
    const spread = (2 * Math.sqrt(3)) / Math.sqrt(columns);
    const count = shape.reduce((product, each) => product * each, 1);
    const values = Float32Array.from({ length: count }, () => (name.endsWith('norm') ? 1 : (random.next() / 2 ** 32 - 0.5) * spread));
    header.tensors.push({ name: `${name}.weight`, dimensions: shape.map(BigInt), type: WEIGHTS_F32, offset: BigInt(offset) });
    data.push(Buffer.from(values.buffer)); // all lengths are multiples of 32 bytes
    offset += values.byteLength;
  }
  writeFileSync(path, Buffer.concat([serialiseHeader(header), ...data]));
}
