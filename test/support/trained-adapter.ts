// An adapter of the embedded model, made as a user makes one: `moebius train` for some steps, then `moebius export`.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { moebius } from './moebius.ts';

export interface TrainedAdapter {
  folder: string;
  /** GGUF, F32 */
  file: string;
  /** the same, for models of another architecture */
  foreign: string;
  /** cut off in the middle */
  damaged: string;
  /** Exports `merged` models in F32: the embedded one as it is, and with the adapter in its weights. */
  models(): Promise<{ base: string; merged: string }>;
  remove(): void;
}

const STEPS = 6;

export async function trainAdapter(): Promise<TrainedAdapter> {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-adapter-'));
  const at = (name: string) => join(folder, name);
  const checkpoint = (step: number) => at(`run/checkpoints/step-${String(step).padStart(8, '0')}.checkpoint`);
  writeFileSync(at('job.json'), JSON.stringify(job));
  await run(['train', '--config', at('job.json')]);
  await run(['export', checkpoint(STEPS), at('roman.gguf')]);
  const bytes = readFileSync(at('roman.gguf'));
  writeFileSync(at('damaged.gguf'), bytes.subarray(0, bytes.length / 2));
  bytes.write('qwen2moe', bytes.indexOf('qwen3moe'));
  writeFileSync(at('foreign.gguf'), bytes);
  return {
    folder,
    file: at('roman.gguf'),
    foreign: at('foreign.gguf'),
    damaged: at('damaged.gguf'),
    models: async () => {
      await run(['export', checkpoint(0), at('base.gguf'), '--format', 'merged', '--type', 'f32']);
      await run(['export', checkpoint(STEPS), at('merged.gguf'), '--format', 'merged', '--type', 'f32']);
      return { base: at('base.gguf'), merged: at('merged.gguf') };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const job = {
  data: { files: [join(import.meta.dirname, '../data/datasets/roman-numerals.jsonl')], maxTokens: 128 },
  folder: 'run',
  adapter: { attention: { loraRank: 4 }, experts: { loraRank: 4 }, router: { loraRank: 2 } },
  schedule: { kind: 'constant', steps: STEPS, learningRate: 1e-2 },
  batchTokens: 256,
  saveFirst: true,
  threads: 1,
};

async function run(args: string[]): Promise<void> {
  const { code, stderr } = await moebius(args);
  if (code !== 0) throw new Error(`moebius ${args.join(' ')} ended with ${code}: ${stderr}`);
}
