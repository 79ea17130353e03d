// The trainer on tiny-moe scaled to hidden size 1024: speed against this machine's F32 products, speed and memory against a PyTorch loop of the same recipe.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { withEngine } from '../../main/cli/engine-session.ts';
import { root } from '../../main/setup/paths.mjs';
import { alternate, type BenchContext, type Benchmark, type Case, toCase } from './support/benchmark.ts';
import { scaled, wordPrompt } from './support/models.ts';
import { buildNativeProgram } from './support/native-program.ts';
import { benchFolder, moebiusCommand } from './support/paths.ts';
import { trainingFlops } from './support/training-flops.ts';

const execute = promisify(execFile);
const SEQUENCES = 8;
const TOKENS = 256;
const LORA_RANK = 8;
/** Measured ones; another one before them. */
const STEPS = 2;
/** Losses of both sides before anything is learnt, in nats: that they compute the same. */
const LOSS_TOLERANCE = 1e-3;
const PEAK_SHARE = 0.4;
const LOOP = join(root, 'test/reference/training/speed_loop.py');

interface Run {
  /** nats, of the first step */
  loss: number;
  tokensPerSecond: number;
  peakBytes: number;
}

const Loop = z.object({
  torch: z.string(),
  losses: z.array(z.number()),
  seconds: z.array(z.number()),
  tokens: z.number(),
  peak_bytes: z.number(),
  gemm_flops: z.number(),
});

const benchmark: Benchmark = {
  description: "the trainer: FLOP/s against this machine's F32 products, tokens per second and peak memory against a PyTorch LoRA loop",
  async run(context) {
    const model = scaled(context.log);
    const data = await encodedTexts(model);
    const peak = await buildNativeProgram('product-speed', context.log);
    const python = await pythonWithTorch();
    if (!python)
      context.log(
        'no Python with torch and numpy (MOEBIUS_TORCH_PYTHON, else python3): nothing is held against PyTorch. See test/reference/training/README.md',
      );
    const ours = () => trainHere(model, data, context.threads);
    await ours();
    const cases: Case[] = [];
    for (const checkpointing of python ? [false, true] : [false]) cases.push(...(await compare(model, data, peak, python, checkpointing, context)));
    return cases;
  },
};
export default benchmark;

async function compare(
  model: string,
  data: string,
  peakProgram: string,
  python: string | undefined,
  checkpointing: boolean,
  context: BenchContext,
): Promise<Case[]> {
  const { threads, runs, log } = context;
  const words = [
    LOOP,
    model,
    data,
    '--rank',
    `${LORA_RANK}`,
    '--steps',
    `${STEPS + 1}`,
    '--threads',
    `${threads}`,
    ...(checkpointing ? ['--checkpointing'] : []),
  ];
  const peaks: number[] = [];
  const theirs = async (): Promise<Run> => {
    peaks.push(Number((await execute(peakProgram, [`${threads}`])).stdout));
    if (!python) return { loss: 0, tokensPerSecond: 0, peakBytes: 0 };
    const loop = Loop.parse(JSON.parse((await execute(python, words)).stdout));
    peaks.push(loop.gemm_flops);
    return { loss: loop.losses[0] ?? Number.NaN, tokensPerSecond: (loop.tokens * loop.seconds.length) / sum(loop.seconds), peakBytes: loop.peak_bytes };
  };
  if (python) context.command('baseline', [python, ...words]);
  const [here, there] = await alternate(runs, [() => trainHere(model, data, threads), theirs]);
  const speeds = here.map(({ tokensPerSecond }) => tokensPerSecond);
  const cases: Case[] = [];
  if (!checkpointing) {
    const flops = trainingFlops(model, SEQUENCES, TOKENS, LORA_RANK);
    const perToken = flops.useful / (SEQUENCES * TOKENS);
    log(
      `a step: ${(flops.useful / 1e9).toFixed(0)} GFLOP useful (${(flops.attention / 1e9).toFixed(0)} of them attention, ${(flops.lora / 1e9).toFixed(0)} adapters), ${(flops.again / 1e9).toFixed(0)} more computed again`,
    );
    const best = Math.max(...peaks) / 1e9;
    log(`largest F32 product speed of the run: ${best.toFixed(0)} GFLOP/s`);
    cases.push(
      toCase({
        case: 'useful GFLOP/s against the bar',
        ours: speeds.map((speed) => (speed * perToken) / 1e9),
        baseline: [PEAK_SHARE * best],
        unit: 'GFLOP/s',
        bar: 1,
      }),
    );
  }
  if (!python) return cases;
  for (const [at, run] of there.entries()) {
    const other = here[at]?.loss ?? Number.NaN;
    if (!(Math.abs(run.loss - other) <= LOSS_TOLERANCE)) throw new Error(`the first losses differ: ${other} here, ${run.loss} in PyTorch`);
  }
  const name = checkpointing ? 'PyTorch with checkpointing' : 'PyTorch';
  return [
    ...cases,
    toCase({ case: `tokens/s, ${name}`, ours: speeds, baseline: there.map(({ tokensPerSecond }) => tokensPerSecond), unit: 'tokens/s', bar: 2 }),
    toCase({
      case: `peak memory, ${name}`,
      ours: here.map(({ peakBytes }) => peakBytes / 1e6),
      baseline: there.map(({ peakBytes }) => peakBytes / 1e6),
      unit: 'MB',
      bar: 2,
      better: 'lower',
    }),
  ];
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

/** Texts of one length: a step takes all of them, so that order and packing are the same for both sides. */
async function encodedTexts(model: string): Promise<string> {
  const file = join(benchFolder(), 'training-texts.jsonl');
  const folder = join(benchFolder(), 'training-data');
  writeFileSync(file, Array.from({ length: SEQUENCES }, (_, index) => `${JSON.stringify({ text: wordPrompt(TOKENS, 500 + index) })}\n`).join(''));
  await execute(process.execPath, [moebiusCommand, 'dataset', file, '--model', model, '--validation', '0', '--encode', folder]);
  return folder;
}

async function trainHere(model: string, data: string, threads: number): Promise<Run> {
  return withEngine(async (engine) => {
    const adapter = { attention: { loraRank: LORA_RANK }, experts: { loraRank: LORA_RANK } };
    const settings = {
      model,
      data,
      adapter,
      schedule: { kind: 'constant' as const, steps: STEPS + 1, learningRate: 2e-4 },
      batchTokens: SEQUENCES * TOKENS,
      threads,
    };
    const { run } = await engine.call('train.open', { settings });
    const reports = [];
    for (let step = 0; step <= STEPS; step++) reports.push(await engine.call('train.step', { run }));
    const [first, ...measured] = reports;
    if (measured.some(({ tokens }) => tokens !== SEQUENCES * TOKENS)) throw new Error('a step did not take all texts');
    return {
      loss: first?.loss ?? Number.NaN,
      tokensPerSecond: (SEQUENCES * TOKENS * STEPS) / sum(measured.map(({ seconds }) => seconds)),
      peakBytes: peakOf(engine.status.processId),
    };
  });
}

/** Largest resident memory of a process so far; Linux. */
function peakOf(processId: number | null): number {
  const kib = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${processId}/status`, 'utf8'))?.[1];
  if (!kib) throw new Error('the system does not tell the peak of a process');
  return Number(kib) * 1024;
}

async function pythonWithTorch(): Promise<string | undefined> {
  const python = process.env.MOEBIUS_TORCH_PYTHON ?? 'python3';
  try {
    await execute(python, ['-c', 'import torch, numpy']);
    return python;
  } catch {
    return undefined;
  }
}
