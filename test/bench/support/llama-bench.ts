// The baseline: llama.cpp's own llama-bench.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

export interface LlamaBenchOptions {
  model: string;
  threads: number;
  batch: number;
  /** prompt tokens to evaluate; 0: none */
  prompt: number;
  /** tokens to generate; 0: none */
  generate: number;
  /** tokens in the KV cache before */
  depth: number;
}

export function llamaBenchParameters({ model, threads, batch, prompt, generate, depth }: LlamaBenchOptions): string[] {
  const numbers = { '-t': threads, '-b': batch, '-ub': batch, '-p': prompt, '-n': generate, '-d': depth, '-ngl': 0, '-r': 1 };
  return [
    '-m',
    model,
    ...Object.entries(numbers).flatMap(([flag, value]) => [flag, String(value)]),
    '-ctk',
    'f16',
    '-ctv',
    'f16',
    '-fa',
    'auto',
    '-dev',
    'none',
    '-o',
    'json',
  ];
}

/** Tokens per second of one test, after llama-bench's own warm-up. */
export async function runLlamaBench(program: string, options: LlamaBenchOptions): Promise<number> {
  const { stdout } = await execute(program, llamaBenchParameters(options), { maxBuffer: 16 << 20 });
  const [result]: { samples_ts?: number[] }[] = JSON.parse(stdout);
  const speed = result?.samples_ts?.[0];
  if (speed === undefined) throw new Error(`llama-bench printed no speed: ${stdout}`);
  return speed;
}
