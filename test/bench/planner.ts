// `moebius plan` against what then happens: memory and speed of many configurations, each planned and run in turn by new engines.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { withEngine, withModel } from '../../main/cli/engine-session.ts';
import { toReport } from '../../main/cli/generate.ts';
import type { LoadOptions, PlanResult } from '../../main/contract/index.ts';
import { startRpcServers } from '../support/rpc-servers.ts';
import { type BenchContext, type Benchmark, type Case, median } from './support/benchmark.ts';
import { big, bigIn, wide, wordPrompt } from './support/models.ts';
import { benchFolder, tinyModel } from './support/paths.ts';
import { record } from './support/traced-models.ts';

/** How far a prediction may be from what is measured. */
const MEMORY_ERROR = 0.1;
const SPEED_ERROR = 0.2;
/** Texts whose routing tells how often experts are found in RAM; none of them is measured. */
const RECORDED = 8;

interface Configuration {
  name: string;
  model: string;
  prompt: number;
  reply: number;
  options: LoadOptions;
  /** llama.cpp copies its experts into another form */
  repacked?: boolean;
  /** recorded routing, for the hit rate of experts on disk */
  trace?: string;
}

/** Of a plan, or of a run. */
interface Figures {
  /** tokens per second */
  prefill: number;
  decode: number;
  /** bytes: of RAM, the engine's own included, and of each GPU */
  memory: Record<string, number>;
  bottlenecks?: string;
}

const benchmark: Benchmark = {
  description: 'predicted memory and speed of configurations against measured ones, on the CPU, from disk and on one and two devices',
  async run(context) {
    await using rig = await startRpcServers(2);
    const cases: Case[] = [];
    for (const configuration of await configurations(
      rig.servers.map(({ device }) => device),
      context,
    ))
      cases.push(...(await compare(configuration, context)));
    return cases;
  },
};
export default benchmark;

async function configurations([first = '', second = '']: string[], { log, threads }: BenchContext): Promise<Configuration[]> {
  const [q8, q4k, q4, large] = [big(log).path, (await bigIn('Q4_K_M', log)).path, (await bigIn('Q4_0', log)).path, wide(log)];
  const cpu = { threads, threadsBatch: threads, devices: [], sequences: 1 };
  const gpu = { ...cpu, threads: 1, threadsBatch: 1 };
  const share = (model: string, part: number) => Math.round(statSync(model).size * part);
  const lengths = { prompt: 512, reply: 64 };
  const short = { prompt: 256, reply: 64 };
  const recorded = async (model: string, { prompt, reply }: { prompt: number; reply: number }): Promise<string> => {
    const trace = join(benchFolder(), `planner-${basename(model, '.gguf')}.moetrace`);
    const texts = Array.from({ length: RECORDED }, (_, text) => wordPrompt(prompt, 1000 + text));
    await record(model, trace, threads, { texts, reply, contextLength: prompt + reply, seeds: [7] });
    return trace;
  };
  log('recording what the models are asked; that of 4.3 GB routes as the small one');
  const [trace, traceQ8] = [await recorded(tinyModel, short), await recorded(q8, lengths)];
  return [
    { name: 'tiny-moe', model: tinyModel, prompt: 320, reply: 160, options: { ...cpu, contextLength: 512 } },
    {
      name: 'tiny-moe, batches of 64, one thread',
      model: tinyModel,
      prompt: 320,
      reply: 160,
      options: { ...cpu, contextLength: 512, batch: 64, threads: 1, threadsBatch: 1 },
    },
    { name: '1.1 GB Q8_0', model: q8, ...lengths, options: { ...cpu, contextLength: 1024 } },
    {
      name: '1.1 GB Q8_0, context 2048, KV in Q8_0',
      model: q8,
      prompt: 128,
      reply: 64,
      options: { ...cpu, contextLength: 2048, kvTypeK: 'q8_0', kvTypeV: 'q8_0', flashAttention: 'on' },
    },
    { name: '1.1 GB Q4_K_M', model: q4k, repacked: true, ...lengths, options: { ...cpu, contextLength: 1024 } },
    { name: '1.1 GB Q4_0', model: q4, repacked: true, ...lengths, options: { ...cpu, contextLength: 1024 } },
    { name: '1.1 GB Q4_K_M, batches of 128', model: q4k, repacked: true, ...lengths, options: { ...cpu, contextLength: 1024, batch: 128 } },
    { name: '4.3 GB, all in RAM', model: large, ...short, options: { ...cpu, contextLength: 1024 } },
    {
      name: '4.3 GB, half of the experts in RAM',
      model: large,
      ...short,
      trace,
      options: { ...cpu, contextLength: 1024, expertRamBytes: share(large, 0.5) },
    },
    { name: '4.3 GB, a quarter in RAM', model: large, ...short, trace, options: { ...cpu, contextLength: 1024, expertRamBytes: share(large, 0.25) } },
    { name: '1.1 GB Q8_0 on one device', model: q8, ...lengths, options: { ...gpu, contextLength: 1024, devices: [first], gpuLayers: 100 } },
    { name: '1.1 GB Q8_0, half of its layers there', model: q8, ...lengths, options: { ...gpu, contextLength: 1024, devices: [first], gpuLayers: 4 } },
    { name: '1.1 GB Q8_0 on two devices', model: q8, ...lengths, options: { ...gpu, contextLength: 1024, devices: [first, second], gpuLayers: 100 } },
    {
      name: '1.1 GB Q8_0, its experts in RAM',
      model: q8,
      ...lengths,
      options: { ...gpu, contextLength: 1024, devices: [first], gpuLayers: 100, cpuExpertLayers: 100 },
    },
    {
      name: '1.1 GB Q8_0, copies of all experts on a device',
      model: q8,
      ...lengths,
      trace: traceQ8,
      options: { ...gpu, contextLength: 1024, expertRamBytes: share(q8, 0.5), expertDevices: [{ id: first, bytes: share(q8, 1.1) }] },
    },
  ];
}

async function planned({ model, prompt, reply, options, trace }: Configuration): Promise<Figures> {
  const plan: PlanResult = await withEngine((engine) =>
    engine.call('plan.make', { path: model, options, promptTokens: prompt, replyTokens: reply, ...(trace === undefined ? {} : { trace }) }),
  );
  const memory = plan.memory.devices.map(({ id, need }) => [id, need + (id === 'CPU' ? plan.memory.engineBytes : 0)] as const);
  return {
    prefill: plan.prefill.tokensPerSecond,
    decode: plan.decode.tokensPerSecond,
    memory: Object.fromEntries(memory),
    bottlenecks: `${plan.prefill.bottleneck}, ${plan.decode.bottleneck}`,
  };
}

async function measured(configuration: Configuration, seed: number): Promise<Figures> {
  const { model, prompt, reply, options } = configuration;
  return withModel(model, options, async ({ engine, generations, loaded, modelId }) => {
    forgetUses(engine.status.processId);
    const answer = (text: number) => {
      const sampling = { temperature: 0.8, seed: 7 };
      return generations.start({ modelId, input: { prompt: wordPrompt(prompt, text) }, sampling, maxTokens: reply, ignoreEndOfGeneration: true }, {}).done;
    };
    // What places experts learns from the turns before, and a trace, too, shows replies behind others; a virtual machine may have to fetch pages that nobody used for a while.
    for (const turn of [100, 200]) await answer(turn + seed);
    const report = toReport(await answer(seed));
    const devices = loaded.memory
      .filter(({ id }) => id !== 'CPU')
      .map(({ id, weights, experts, kvCache, compute }) => [id, weights + experts + kvCache + compute] as const);
    return {
      prefill: report.promptTokensPerSecond,
      decode: report.tokensPerSecond,
      memory: Object.fromEntries([['CPU', ramInUse(engine.status.processId, configuration)], ...devices]),
    };
  });
}

/** From now on `ramInUse` knows which pages are used (Linux). */
const forgetUses = (processId: number | null) => writeFileSync(`/proc/${processId}/clear_refs`, '1');

/**
 * RAM of a process, bytes. `repacked`: of the model's file only pages that were used since `forgetUses`, since what llama.cpp has copied elsewhere stays mapped
 * until somebody needs the memory.
 */
function ramInUse(processId: number | null, { model, repacked }: Configuration): number {
  let sum = 0;
  for (const mapping of readFileSync(`/proc/${processId}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const counted = mapping.split('\n', 1)[0]?.endsWith(model) && repacked ? 'Referenced' : 'Rss';
    sum += Number(new RegExp(`^${counted}:\\s+(\\d+) kB$`, 'm').exec(mapping)?.[1] ?? 0) * 1024;
  }
  if (sum === 0) throw new Error('Linux does not say how much memory the engine has.');
  return sum;
}

async function compare(configuration: Configuration, { runs, log }: BenchContext): Promise<Case[]> {
  const [plans, results]: [Figures[], Figures[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    plans.push(await planned(configuration));
    results.push(await measured(configuration, run));
  }
  const accuracy = (label: string, unit: string, error: number, value: (figures: Figures) => number): Case => {
    const [predicted, actual] = [median(plans.map(value)), median(results.map(value))];
    const ratio = 1 - Math.abs(predicted - actual) / actual;
    return { case: `${configuration.name}: ${label}`, ours: predicted, baseline: actual, unit, ratio, bar: 1 - error, ok: ratio >= 1 - error };
  };
  const cases = [
    accuracy('prefill', 'tokens/s', SPEED_ERROR, ({ prefill }) => prefill),
    accuracy('decode', 'tokens/s', SPEED_ERROR, ({ decode }) => decode),
    ...Object.keys(results[0]?.memory ?? {}).map((id) =>
      accuracy(id === 'CPU' ? 'RAM' : 'device memory', 'bytes', MEMORY_ERROR, ({ memory }) => memory[id] ?? 0),
    ),
  ];
  log(
    `  ${configuration.name} (limited by ${plans[0]?.bottlenecks}): ${cases.map(({ unit, ours, baseline }) => `${ours.toPrecision(4)} for ${baseline.toPrecision(4)} ${unit}`).join('; ')}`,
  );
  return cases;
}
