// Our side: a whole `moebius generate --json` in a process of its own, as a user runs it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { moebiusCommand } from './paths.ts';

const execute = promisify(execFile);

export interface GenerateOptions {
  model: string;
  threads: number;
  batch: number;
  prompt: string;
  promptTokens: number;
  generate: number;
  telemetry: boolean;
}

export interface Speeds {
  /** tokens per second */
  prefill: number;
  decode: number;
  /** the whole process, with starting and loading, ms */
  wall: number;
}

/** Sampling with temperature, top-k, top-p, min-p and a repeat penalty; one sequence; the same context, batch, threads and KV cache as the baseline. */
export function generateParameters(options: GenerateOptions, prompt = options.prompt): string[] {
  const numbers = { '--threads': options.threads, '--batch': options.batch, '--sequences': 1, '--context': options.promptTokens + options.generate };
  const sampling = { '--temperature': 0.8, '--top-k': 40, '--top-p': 0.95, '--min-p': 0.05, '--repeat-penalty': 1.1, '--seed': 7 };
  const flags = Object.entries({ ...numbers, ...sampling, '--max-tokens': options.generate }).flatMap(([flag, value]) => [flag, String(value)]);
  const telemetry = options.telemetry ? [] : ['--no-telemetry'];
  return [
    'generate',
    options.model,
    ...flags,
    '--flash-attention',
    'auto',
    '--kv-type',
    'f16',
    '--gpu-layers',
    '0',
    '--ignore-eos',
    ...telemetry,
    '--prompt',
    prompt,
    '--json',
  ];
}

interface Report {
  tokens: number;
  promptTokens: number;
  tokensPerSecond: number;
  promptTokensPerSecond: number;
  expertUsage: number[][];
}

/** Throws unless the run did exactly the work that it is measured for. */
export async function runGenerate(options: GenerateOptions): Promise<Speeds> {
  const start = performance.now();
  const { stdout } = await execute(process.execPath, [moebiusCommand, ...generateParameters(options)], { maxBuffer: 64 << 20 });
  const wall = performance.now() - start;
  const report: Report = JSON.parse(stdout);
  const observed = report.expertUsage.flat().reduce((sum, count) => sum + count, 0);
  const did = `${report.promptTokens} + ${report.tokens} tokens, ${observed} expert uses`;
  if (report.promptTokens !== options.promptTokens || report.tokens !== options.generate || observed > 0 !== options.telemetry) {
    throw new Error(`generate did other work than asked (${options.promptTokens} + ${options.generate} tokens, telemetry ${options.telemetry}): ${did}`);
  }
  return { prefill: report.promptTokensPerSecond, decode: report.tokensPerSecond, wall };
}
