// The models that speed is measured on, and prompts for them.
import { execFile } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readMetadata, readStrings } from './gguf-metadata.ts';
import { buildLlamaTool } from './llama-tool.ts';
import { makeModel } from './make-model.ts';
import { benchFolder, tinyModel } from './paths.ts';
import { Random } from './random.ts';
import { scaleModel } from './scale-model.ts';
import { widenModel } from './widen-model.ts';

export interface BenchModel {
  name: string;
  path: string;
  /** tokens of the prompt and of the reply; together they fit the model's context */
  prompt: number;
  generate: number;
  /** the least shares of the baseline's speed, as the project promises them */
  bars: { prefill: number; decode: number };
  /** measured runs for every run that was asked: short ones need more for a steady median */
  turns: number;
}

/** A token of it takes half a millisecond, so that what is not computing shows. */
export const tiny: BenchModel = { name: 'tiny-moe', path: tinyModel, prompt: 320, generate: 160, bars: { prefill: 0.85, decode: 0.85 }, turns: 4 };

/** A generated MoE of 1.1 GB, made once and kept. */
export function big(log: (text: string) => void): BenchModel {
  const path = join(benchFolder(), 'random-moe-1.gguf');
  if (!existsSync(path)) {
    log('making a MoE model of 1.1 GB (once)');
    makeModel(path);
  }
  return { name: '1.1 GB MoE', path, prompt: 512, generate: 128, bars: { prefill: 0.97, decode: 0.97 }, turns: 2 };
}

/** The same in another quantisation: `type` as llama-quantize names it. */
export async function bigIn(type: string, log: (text: string) => void): Promise<BenchModel> {
  const source = big(log);
  const path = join(benchFolder(), `random-moe-1-${type.toLowerCase()}.gguf`);
  if (!existsSync(path)) {
    const program = await buildLlamaTool('llama-quantize', log);
    log(`quantising it to ${type} (once)`);
    await promisify(execFile)(program, ['--allow-requantize', source.path, `${path}.new`, type], { maxBuffer: 64 << 20 });
    renameSync(`${path}.new`, path);
  }
  return { ...source, name: `${source.name}, ${type}`, path };
}

/** Path of tiny-moe with its experts widened by units of zero weight: 4.3 GB with the function and the routing of the small one; made once and kept. */
export function wide(log: (text: string) => void): string {
  const path = join(benchFolder(), 'tiny-moe-wide.gguf');
  if (!existsSync(path)) {
    log('widening tiny-moe to 4.3 GB (once)');
    widenModel(tinyModel, 160, path);
  }
  return path;
}

/** Path of tiny-moe scaled to a hidden size of 1024, with the function and the routing of the small one: 450 MB; made once and kept. */
export function scaled(log: (text: string) => void): string {
  const path = join(benchFolder(), 'tiny-moe-scaled.gguf');
  if (!existsSync(path)) {
    log('scaling tiny-moe to a hidden size of 1024 (once)');
    scaleModel(tinyModel, 4, path);
  }
  return path;
}

/** A text of `count` tokens: words that are one token each, in random order, so that all experts get work. Another seed gives another text. */
export function wordPrompt(count: number, seed: number): string {
  words ??= readWords();
  const random = new Random(seed);
  // Ġ is how byte-level tokenizers write a space.
  const from = words;
  return Array.from({ length: count }, () => ` ${from[random.below(from.length)]}`).join('');
}

/** Read once: the garbage of reading would be collected beside what is measured. */
let words: string[] | undefined;

function readWords(): string[] {
  const tokens = readMetadata(tinyModel).find(({ key }) => key === 'tokenizer.ggml.tokens');
  const found = tokens ? readStrings(tokens).filter((token) => /^Ġ[a-z]{3,}$/.test(token)) : [];
  if (found.length === 0) throw new Error('the tokenizer has no words');
  return found.map((token) => token.slice(1));
}
