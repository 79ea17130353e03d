// Experts in RAM, on disk and on devices, in any state: every step against stock llama.cpp on the CPU. Nothing is timed.
import { execFile } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { lavapipeDevices } from '../support/lavapipe.ts';
import type { Benchmark, Case } from './support/benchmark.ts';
import { buildLlamaTool } from './support/llama-tool.ts';
import { wordPrompt } from './support/models.ts';
import { buildNativeProgram } from './support/native-program.ts';
import { benchFolder, tinyModel } from './support/paths.ts';

const execute = promisify(execFile);
const PROMPT = 2000;
const GENERATE = 512;

/** See native/bench/placement-lossless.cpp. */
interface Run {
  name: string;
  /** shares of the experts: that have room in RAM, and on each device */
  ram: number;
  budgets?: number[];
  /** copies follow the load */
  adapts?: boolean;
  cpuHelps?: boolean;
  fetches?: boolean;
  storm?: boolean;
}

interface Rig {
  name: string;
  model: string;
  devices: { servers?: number; vulkan?: number };
  runs: Run[];
  /** largest difference of a logit; 0: the same bits */
  tolerance: number;
}

const Outcome = z.object({
  name: z.string(),
  steps: z.number(),
  sameTokens: z.number(),
  /** another token, where stock llama.cpp's two best are nearer than rounding */
  ties: z.number(),
  /** runs before this one, in which a router of which stock is undecided chose another expert */
  routerTies: z.number(),
  sameBitSteps: z.number(),
  largestDifference: z.number(),
  onDevices: z.number(),
  onCpu: z.number(),
  copied: z.number(),
  fetched: z.number(),
  changes: z.number(),
  misses: z.number(),
  seconds: z.number(),
});
type Outcome = z.infer<typeof Outcome>;

const benchmark: Benchmark = {
  description: `experts in RAM, on disk and on 1, 2 and 4 devices: the same ${GENERATE} greedy tokens behind ${PROMPT} as stock llama.cpp`,
  async run({ log, command }) {
    const program = await buildNativeProgram('placement-lossless', log);
    const cases: Case[] = [];
    for (const rig of rigs(await tinyInF32(log))) {
      command(rig.name, ['placement-lossless', JSON.stringify({ ...requestOf(rig), prompt: `(${PROMPT} random words)` })]);
      const outcomes = await compare(program, rig);
      for (const [index, run] of rig.runs.entries()) cases.push(...toCases(rig, run, outcomes[index], log));
    }
    return cases;
  },
};
export default benchmark;

/** Devices multiply Q8_0 by activations that the CPU rounds to 8 bits; with F32 weights both compute the same but for the order of sums. */
async function tinyInF32(log: (text: string) => void): Promise<string> {
  const path = join(benchFolder(), 'tiny-moe-f32.gguf');
  if (!existsSync(path)) {
    const quantize = await buildLlamaTool('llama-quantize', log);
    await execute(quantize, ['--allow-requantize', tinyModel, `${path}.new`, 'F32'], { maxBuffer: 64 << 20 });
    renameSync(`${path}.new`, path);
  }
  return path;
}

function rigs(f32: string): Rig[] {
  const onDisk: Run[] = [
    { name: 'a quarter in RAM', ram: 0.25 },
    { name: 'RAM and policy change at random', ram: 0.25, storm: true },
  ];
  const onDevices = (count: number): Run[] => {
    const each = (share: number) => Array.from({ length: count }, () => share / count);
    return [
      { name: 'half of the experts, no copies move', ram: 0.5, budgets: each(0.5), adapts: false, fetches: false },
      { name: '1.5 copies of each, following the load', ram: 0.5, budgets: each(1.5) },
      { name: 'all of them, which change places; the CPU computes who is on the way', ram: 0.5, budgets: each(1), cpuHelps: false },
      { name: 'half of the experts, others fetched for a batch', ram: 1, budgets: each(0.5), adapts: false, fetches: true },
      { name: 'budgets, RAM and policy change at random', ram: 0.3, budgets: each(1), storm: true },
    ];
  };
  return [
    { name: 'CPU', model: tinyModel, devices: {}, runs: onDisk, tolerance: 0 },
    ...[1, 2, 4].map((count) => ({
      name: `${count} rpc-server(s)`,
      model: tinyModel,
      devices: { servers: count },
      runs: onDevices(count),
      tolerance: 1e-3,
    })),
    ...[1, 2, 4].map((count) => ({ name: `${count} lavapipe, F32`, model: f32, devices: { vulkan: count }, runs: onDevices(count), tolerance: 1e-2 })),
  ];
}

const requestOf = ({ model, devices, tolerance, runs }: Rig) => ({
  model,
  promptTokens: PROMPT,
  generate: GENERATE,
  batch: 256,
  threads: 1,
  tolerance,
  ...devices,
  runs,
});

async function compare(program: string, rig: Rig): Promise<Outcome[]> {
  const request = JSON.stringify({ ...requestOf(rig), prompt: wordPrompt(PROMPT, 7) });
  const { stdout } = await execute(program, [request], { env: { ...process.env, ...lavapipeDevices(rig.devices.vulkan ?? 0) }, maxBuffer: 64 << 20 });
  const outcomes = stdout
    .trim()
    .split('\n')
    .map((line) => Outcome.parse(JSON.parse(line)));
  if (outcomes.length !== rig.runs.length) throw new Error(`${rig.name}: ${outcomes.length} of ${rig.runs.length} runs`);
  return outcomes;
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

/** What the run was to be about took place; else its figures would say nothing. */
function check(rig: Rig, run: Run, outcome: Outcome): void {
  const happened = [
    !run.budgets || outcome.onDevices > 0,
    run.cpuHelps !== false || outcome.onCpu * 100 <= outcome.onDevices,
    run.budgets || outcome.misses > 0,
    !run.storm || outcome.changes > 5,
    run.adapts !== false || outcome.copied === 0,
    run.fetches === undefined || outcome.fetched > 0 === run.fetches,
    !(run.budgets && run.budgets.length > 1 && sum(run.budgets) >= 1) || outcome.copied > 0,
  ];
  if (!happened.every(Boolean)) throw new Error(`${rig.name}, ${run.name}: not what was to be run: ${JSON.stringify(outcome)}`);
}

function toCases(rig: Rig, run: Run, outcome: Outcome | undefined, log: (text: string) => void): Case[] {
  if (!outcome) throw new Error(`${rig.name}, ${run.name}: no outcome`);
  check(rig, run, outcome);
  log(
    `  ${rig.name}, ${run.name}: ${outcome.ties} ties, ${outcome.routerTies} runs again; logits within ${outcome.largestDifference.toExponential(1)}; ${outcome.onDevices} tokens of experts on devices, ${outcome.onCpu} on the CPU; ` +
      `${outcome.copied} copies moved, ${outcome.fetched} experts fetched, ${outcome.changes} changes, ${outcome.misses} misses; ${outcome.seconds.toFixed(0)} s`,
  );
  const name = `${rig.name}: ${run.name}`;
  const equal = (label: string, unit: string, count: number): Case => {
    const ratio = count / outcome.steps;
    return { case: `${name}, ${label}`, ours: count, baseline: outcome.steps, unit, ratio, bar: 1, ok: ratio >= 1 };
  };
  const tokens = equal('tokens', 'the same', outcome.sameTokens + outcome.ties);
  if (rig.tolerance === 0) return [tokens, equal('logits', 'the same bits', outcome.sameBitSteps)];
  const ratio = rig.tolerance / Math.max(outcome.largestDifference, Number.EPSILON);
  return [tokens, { case: `${name}, logits`, ours: outcome.largestDifference, baseline: rig.tolerance, unit: 'difference', ratio, bar: 1, ok: ratio >= 1 }];
}
