// Where a model would go, the memory it takes and how fast it would be: on this machine, or on one that is only described.
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type LoadOptions, MoebiusError, PlanParameters, type PlanResult, type SpeedForecast } from '../contract/index.ts';
import { describeIssues } from '../rpc/dispatcher.ts';
import { withEngine } from './engine-session.ts';
import { addModelOptions, type ModelFlags, toLoadOptions, UsageError, wholeNumber } from './options.ts';
import { formatBytes, formatTable, print, printJson, significant } from './output.ts';
import { embeddedModel } from './paths.ts';

export interface PlanFlags extends ModelFlags {
  rig?: string;
  fold?: boolean;
  trace?: string;
  promptTokens?: number;
  replyTokens?: number;
  json?: boolean;
}

export function addPlanCommand(program: Command): void {
  const command = program
    .command('plan')
    .description('where a model would go, the memory it takes, how fast it would be and what limits it; with --rig on hardware that you describe');
  addModelOptions(command)
    .option(
      '--rig <json>',
      'described hardware, as JSON or a file with it: {devices: [{memoryBytes, bandwidth, flops, linkBandwidth}], ramBytes, ramBandwidth, ...}',
    )
    .option('--fold', 'seek the best split of attention and experts over the GPUs, each by itself (always done with --rig)')
    .option('--trace <file>', 'recorded routing of the model, for hit rates (default: the .moetrace file beside it)')
    .option('--prompt-tokens <n>', 'tokens of the prompt (default: 512)', wholeNumber)
    .option('--reply-tokens <n>', 'tokens of the reply (default: 128)', wholeNumber)
    .option('--json', 'one JSON object')
    .action(plan);
}

async function plan(model: string | undefined, flags: PlanFlags): Promise<void> {
  const path = resolve(model ?? flags.model ?? embeddedModel());
  const parameters = toPlanParameters(path, flags);
  if (!existsSync(path)) throw new MoebiusError('file.not-found', `There is no file ${path}.`, { details: { path } });
  const result = await withEngine((engine) => engine.call('plan.make', parameters));
  if (flags.json) printJson(result);
  else print(planText(result));
}

/** Throws UsageError. */
export function toPlanParameters(path: string, flags: PlanFlags): PlanParameters {
  const parsed = PlanParameters.safeParse({
    path,
    options: toLoadOptions(flags),
    rig: flags.rig === undefined ? undefined : readRig(flags.rig),
    fold: flags.fold,
    trace: flags.trace === undefined ? undefined : resolve(flags.trace),
    promptTokens: flags.promptTokens,
    replyTokens: flags.replyTokens,
  });
  if (!parsed.success) throw new UsageError(describeIssues(parsed.error));
  return parsed.data;
}

function readRig(text: string): unknown {
  try {
    return JSON.parse(text.trimStart().startsWith('{') ? text : readFileSync(text, 'utf8'));
  } catch (error) {
    throw new UsageError(`--rig is neither JSON nor a file with JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function planText(result: PlanResult): string {
  return [memoryTable(result), placementText(result), speedTable(result), ...foldingText(result), notes(result)].join('\n\n');
}

function memoryTable({ memory }: PlanResult): string {
  const rows = memory.devices.map((device) =>
    [device.id].concat([device.weights, device.experts, device.kvCache, device.compute, device.need, device.have].map(formatBytes)),
  );
  return formatTable([['memory', 'weights', 'experts', 'KV cache', 'compute', 'needed', 'there is'], ...rows]);
}

function placementText({ placement }: PlanResult): string {
  const blocks = placement.blocks.map(({ device, first, last }) => `layers ${first}-${last} on ${device}`);
  const devices = Object.keys(placement.experts[0]?.slots ?? {});
  const range = (values: number[]) => (Math.min(...values) === Math.max(...values) ? String(values[0]) : `${Math.min(...values)}..${Math.max(...values)}`);
  const slots = devices.map((device) => `${device} ${range(placement.experts.map((layer) => layer.slots[device] ?? 0))}`);
  const disk = range(placement.experts.map((layer) => layer.onlyOnDisk));
  const experts = placement.experts.length === 0 ? [] : [`experts of a layer with room: ${slots.join(', ')}; only on disk: ${disk}`];
  return [`${blocks.join(', ')}, output on ${placement.output}`, ...experts].join('\n');
}

type Split = NonNullable<PlanResult['folding']>['chosen'];

function foldingText({ folding, promptTokens, replyTokens }: PlanResult): string[] {
  if (folding === null) return [];
  const { chosen, coupled, speedup, tried } = folding;
  const row = (name: string, split: Split) => [
    name,
    perDevice(split.blocks),
    split.whole ? 'with their layer' : perDevice(split.copies) || 'RAM',
    `${significant(split.seconds)} s`,
    significant(split.prefillTokensPerSecond),
    significant(split.decodeTokensPerSecond),
  ];
  const table = formatTable([
    ['split', 'layers', 'experts of a layer', `${promptTokens} + ${replyTokens} tokens`, 'prefill', 'decode'],
    row('chosen', chosen),
    row('best coupled', coupled),
  ]);
  return [`${table}\n${significant(speedup)} times as fast as the best coupled split; ${tried} splits fit\nload it with: ${splitFlags(chosen.options)}`];
}

const perDevice = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([id, count]) => `${count} on ${id}`)
    .join(', ');

/** The flags that make these load options of a split. */
export function splitFlags({ devices = [], gpuLayers, tensorSplit, expertRamBytes, expertDevices = [] }: LoadOptions): string {
  return [
    `--devices ${devices.join(',') || ','}`,
    `--gpu-layers ${gpuLayers ?? 0}`,
    ...(tensorSplit ? [`--tensor-split ${tensorSplit.join(',')}`] : []),
    `--expert-ram ${expertRamBytes ?? 0}`,
    ...(expertDevices.length > 0 ? [`--expert-devices ${expertDevices.map(({ id, bytes }) => `${id}=${bytes}`).join(',')}`] : []),
  ].join(' ');
}

function speedTable({ prefill, decode, promptTokens, replyTokens }: PlanResult): string {
  const limits = ({ limits }: SpeedForecast) =>
    limits
      .slice(0, 3)
      .map((limit) => `${limit.resource} ${significant(limit.tokensPerSecond)}`)
      .join(', ');
  const row = (name: string, speed: SpeedForecast) => [name, significant(speed.tokensPerSecond), speed.bottleneck, limits(speed)];
  return formatTable([
    ['tokens/s', 'est.', 'bottleneck', 'what each would allow alone'],
    row(`prefill ${promptTokens}`, prefill),
    row(`decode ${replyTokens} at ${promptTokens}`, decode),
  ]);
}

function notes({ hitRate, hardware, diskBandwidth, offloading }: PlanResult): string {
  const source = { all: 'all experts are in memory', trace: 'from the trace', guess: 'a guess: record a trace for a better one' }[hitRate.source];
  const speeds = hardware.map(
    ({ id, bandwidth, flops, measured }) =>
      `${id}: ${significant(bandwidth / 1e9)} GB/s, ${significant(flops / 1e9)} GFLOP/s (${measured ? 'measured' : 'as described'})`,
  );
  const enough = offloading && (offloading.slots === null ? 'no number of slots reaches' : `${offloading.slots} slots a layer reach`);
  return [
    `hit rate est. ${(hitRate.rate * 100).toFixed(1)}% with ${hitRate.policy} (${source})`,
    ...speeds,
    ...(diskBandwidth === null ? [] : [`disk: ${significant(diskBandwidth / 1e9)} GB/s`]),
    ...(offloading
      ? [
          `suitability for offloading ${offloading.suitability.toFixed(2)}; ${enough} ${offloading.targetHitRate * 100}% hits, beyond ${offloading.knee} more slots pay less and less`,
        ]
      : []),
  ].join('\n');
}
