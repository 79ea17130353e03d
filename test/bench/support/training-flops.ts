// How many operations a training step of a qwen3moe takes, an addition and a multiplication each.
import { type Entry, readMetadata } from './gguf-metadata.ts';

export interface TrainingFlops {
  /** forward, and backward what the gradients need; all below are of it */
  useful: number;
  attention: number;
  lora: number;
  /** what is done once more because activations are not kept: each layer forward, and the head's logits. Not of `useful` */
  again: number;
}

/**
 * Of a step of `sequences` texts of `tokens` tokens, all learnt, with adapters of attention and experts. Products only; frozen matrices have no gradient of their own, and below the
 * first layer's adapters nothing has. Attention sees half of a text's tokens on average.
 */
export function trainingFlops(model: string, sequences: number, tokens: number, loraRank: number): TrainingFlops {
  const entries = readMetadata(model);
  const number = (key: string) => readNumber(entries.find((entry) => entry.key === `qwen3moe.${key}`));
  const [layers, width, hidden, used] = [number('block_count'), number('embedding_length'), number('expert_feed_forward_length'), number('expert_used_count')];
  const [heads, kvHeads, head] = [number('attention.head_count'), number('attention.head_count_kv'), number('attention.key_length')];
  const vocabulary = entries.find((entry) => entry.key === 'tokenizer.ggml.tokens');
  const words = vocabulary ? Number(vocabulary.raw.readBigUInt64LE(vocabulary.valueOffset + 4)) : 0;
  const entry = [
    [width, heads * head],
    [width, kvHeads * head],
    [width, kvHeads * head],
  ];
  const others = [
    [heads * head, width],
    ...Array.from({ length: used }, () => [
      [width, hidden],
      [width, hidden],
      [hidden, width],
    ]).flat(),
  ];
  const weights = (matrices: number[][]) => matrices.reduce((sum, [rows = 0, columns = 0]) => sum + rows * columns, 0);
  const sides = (matrices: number[][]) => matrices.reduce((sum, [rows = 0, columns = 0]) => sum + rows + columns, 0);
  const router = width * number('expert_count');
  const all = sequences * tokens;
  const layer = 2 * all * (weights([...entry, ...others]) + router);
  const adapters = 2 * all * loraRank * sides([...entry, ...others]);
  const attention = 4 * all * ((tokens + 1) / 2) * heads * head;
  const logits = 2 * sequences * (tokens - 1) * width * words;
  const nothingBelow = 2 * all * (weights(entry) + loraRank * entry.length * width);
  const lora = layers * adapters * 3;
  return {
    useful: layers * (layer * 2 + attention * 3) + lora - nothingBelow + logits * 2,
    attention: layers * attention * 3,
    lora,
    again: layers * (layer + adapters + attention) + logits,
  };
}

function readNumber(entry: Entry | undefined): number {
  if (!entry) throw new Error('the model is no qwen3moe');
  return entry.raw.readUInt32LE(entry.valueOffset);
}
