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
const LOOP_FOLDER = join(root, 'test/reference/training');
/** What users write, and the fastest that we can write. */
const LOOPS = [
  { file: 'peft_speed.py', name: 'Transformers and PEFT', speedBar: 2, memoryBar: 2 },
  { file: 'speed_loop.py', name: 'PyTorch by hand', speedBar: 1, memoryBar: 1.5 },
];

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
    const product = await buildNativeProgram('product-speed', context.log);
    const python = await pythonWithTorch();
    if (!python)
      context.log('no Python with torch and peft (MOEBIUS_TORCH_PYTHON, else python3): nothing is held against PyTorch. See test/reference/training/README.md');
    const peaks = [Number((await execute(product, [`${context.threads}`])).stdout)];
    await trainHere(model, data, context.threads, false);
    const cases: Case[] = [];
    for (const checkpointing of python ? [false, true] : [false]) cases.push(...(await compare({ context, model, data, peaks, python, checkpointing })));
    return cases;
  },
};
export default benchmark;

/** A way of keeping activations, and the loops that it is held against. */
interface Contest {
  context: BenchContext;
  model: string;
  data: string;
  /** largest F32 product speeds, FLOP/s */
  peaks: number[];
  python: string | undefined;
  checkpointing: boolean;
}

async function compare(contest: Contest): Promise<Case[]> {
  const { context, model, data, python, checkpointing } = contest;
  const loops = python ? LOOPS : [];
  const [here = [], ...there] = await alternate<Run>(context.runs, [
    () => trainHere(model, data, context.threads, checkpointing),
    ...loops.map(
      ({ file }) =>
        () =>
          trainThere(file, contest),
    ),
  ]);
  const speeds = here.map(({ tokensPerSecond }) => tokensPerSecond);
  const suffix = checkpointing ? ' with checkpointing' : '';
  const cases = checkpointing ? [] : [usefulShare(contest, speeds)];
  for (const [index, { name, speedBar, memoryBar }] of loops.entries()) {
    const theirs = there[index] ?? [];
    for (const [at, run] of theirs.entries()) {
      const other = here[at]?.loss ?? Number.NaN;
      if (!(Math.abs(run.loss - other) <= LOSS_TOLERANCE)) throw new Error(`the first losses differ: ${other} here, ${run.loss} of ${name}`);
    }
    cases.push(
      toCase({
        case: `tokens/s, ${name}${suffix}`,
        ours: speeds,
        baseline: theirs.map(({ tokensPerSecond }) => tokensPerSecond),
        unit: 'tokens/s',
        bar: speedBar,
      }),
      toCase({
        case: `peak memory, ${name}${suffix}`,
        ours: here.map(({ peakBytes }) => peakBytes / 1e6),
        baseline: theirs.map(({ peakBytes }) => peakBytes / 1e6),
        unit: 'MB',
        bar: memoryBar,
        better: 'lower',
      }),
    );
  }
  return cases;
}

function usefulShare({ model, peaks, context }: Contest, speeds: number[]): Case {
  const flops = trainingFlops(model, SEQUENCES, TOKENS, LORA_RANK);
  const perToken = flops.useful / (SEQUENCES * TOKENS);
  context.log(
    `a step: ${(flops.useful / 1e9).toFixed(0)} GFLOP (${(flops.attention / 1e9).toFixed(0)} of them attention, ${(flops.lora / 1e9).toFixed(0)} adapters), ${(flops.again / 1e9).toFixed(0)} more with checkpointing`,
  );
  const best = Math.max(...peaks) / 1e9;
  context.log(`largest F32 product speed of the run: ${best.toFixed(0)} GFLOP/s`);
  return toCase({
    case: 'useful GFLOP/s against the bar',
    ours: speeds.map((speed) => (speed * perToken) / 1e9),
    baseline: [PEAK_SHARE * best],
    unit: 'GFLOP/s',
    bar: 1,
  });
}

async function trainThere(file: string, { context, model, data, peaks, python = '', checkpointing }: Contest): Promise<Run> {
  const threads = `${context.threads}`;
  const words = [join(LOOP_FOLDER, file), model, data, '--rank', `${LORA_RANK}`, '--steps', `${STEPS + 1}`, '--threads', threads];
  if (checkpointing) words.push('--checkpointing');
  context.command('baseline', [python, ...words]);
  const loop = Loop.parse(JSON.parse((await execute(python, words)).stdout));
  peaks.push(loop.gemm_flops);
  return { loss: loop.losses[0] ?? Number.NaN, tokensPerSecond: (loop.tokens * loop.seconds.length) / sum(loop.seconds), peakBytes: loop.peak_bytes };
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

async function trainHere(model: string, data: string, threads: number, checkpointing: boolean): Promise<Run> {
  return withEngine(async (engine) => {
    const adapter = { attention: { loraRank: LORA_RANK }, experts: { loraRank: LORA_RANK } };
    const settings = {
      model,
      data,
      adapter,
      schedule: { kind: 'constant' as const, steps: STEPS + 1, learningRate: 2e-4 },
      batchTokens: SEQUENCES * TOKENS,
      threads,
      devices: checkpointing ? { activationBytes: 0 } : {},
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
    await execute(python, ['-c', 'import torch, transformers, peft']);
    return python;
  } catch {
    return undefined;
  }
}
