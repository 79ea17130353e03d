// Replays a recorded trace through the expert cache of the engine: what would it have hit and read with these slots and that policy?
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type DeviceReplayParameters, MoebiusError, type PolicyReplay, ReplayParameters, type ReplayResult } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import { describeIssues } from '../rpc/dispatcher.ts';
import { withEngine } from './engine-session.ts';
import { number, UsageError, wholeNumber } from './options.ts';
import { formatBytes, formatTable, print, printJson } from './output.ts';
import { addDeviceOptions, type DeviceFlags, deviceReplayText, toDeviceParameters } from './simulate-devices.ts';

export interface SimulateFlags extends DeviceFlags {
  slots?: number;
  slotsFactor?: number;
  ram?: number;
  policy?: string;
  promptBatch?: number;
  allocation?: string;
  readAhead?: number;
  target?: number;
  json?: boolean;
}

/** Of the experts that a token uses: what most models need for a cache worth having (arXiv 2505.16056). */
const DEFAULT_SLOTS_FACTOR = 2;

export function addSimulateCommand(program: Command): void {
  const command = program
    .command('simulate')
    .description(
      'replay a recorded trace through the expert cache (hit rates and bytes read of every policy, and how many slots are worth having), or with --devices on several devices',
    )
    .argument('<trace>', 'a file that "moebius trace" recorded')
    .option('--slots <n>', 'experts that have room in each layer', wholeNumber)
    .option('--slots-factor <x>', `the same as a multiple of the experts that a token uses (default: ${DEFAULT_SLOTS_FACTOR})`, number)
    .option('--ram <bytes>', 'the same as bytes for all layers; needs --bytes-per-expert', wholeNumber)
    .option('--bytes-per-expert <bytes>', 'size of one expert, as "moebius inspect" tells it', number)
    .option('--policy <name>', 'lru, lfu, lfru, score, least-stale, lrfu, foresight, lookahead-N, belady or all', 'all')
    .option('--prompt-batch <tokens>', 'tokens per batch of a prompt (default: 512)', wholeNumber)
    .option('--allocation <name>', 'how slots are shared out among layers: uniform, marginal or shallow')
    .option('--read-ahead <n>', 'experts that foresight reads ahead per layer, 0: none (default: as many as a token uses)', wholeNumber)
    .option('--target <rate>', 'hit rate, 0..1, to recommend slots for (default: 0.9)', number)
    .option('--json', 'one JSON object');
  addDeviceOptions(command).action(simulate);
}

async function simulate(trace: string, flags: SimulateFlags): Promise<void> {
  const path = resolve(trace);
  const replay = flags.devices === undefined ? cacheReplay(toReplayParameters(path, flags)) : deviceReplay(toDeviceParameters(path, flags));
  if (!existsSync(path)) throw new MoebiusError('file.not-found', `There is no file ${path}.`, { details: { path } });
  const { result, text } = await withEngine(replay);
  if (flags.json) printJson(result);
  else print(text);
}

type Replay = (engine: Engine) => Promise<{ result: object; text: string }>;

const cacheReplay =
  (parameters: ReplayParameters): Replay =>
  async (engine) => {
    const result = await engine.call('experts.replay', parameters);
    return { result, text: replayText(result) };
  };

const deviceReplay =
  (parameters: DeviceReplayParameters): Replay =>
  async (engine) => {
    const result = await engine.call('experts.replayDevices', parameters);
    return { result, text: deviceReplayText(result) };
  };

/** Throws UsageError. */
export function toReplayParameters(path: string, flags: SimulateFlags): ReplayParameters {
  if ([flags.slots, flags.slotsFactor, flags.ram].filter((given) => given !== undefined).length > 1)
    throw new UsageError('Give one of --slots, --slots-factor and --ram, not several.');
  const factor = flags.slots === undefined && flags.ram === undefined ? (flags.slotsFactor ?? DEFAULT_SLOTS_FACTOR) : undefined;
  const parsed = ReplayParameters.safeParse({
    path,
    slots: flags.slots,
    slotsFactor: factor,
    totalSlots: flags.ram === undefined ? undefined : slotsFor(flags.ram, flags.bytesPerExpert),
    policies: flags.policy === undefined || flags.policy === 'all' ? undefined : [flags.policy],
    promptBatch: flags.promptBatch,
    allocation: flags.allocation,
    readAhead: flags.readAhead === 0 ? undefined : { most: flags.readAhead },
    bytesPerExpert: flags.bytesPerExpert,
    targetHitRate: flags.target,
  });
  if (!parsed.success) throw new UsageError(describeIssues(parsed.error));
  return parsed.data;
}

function slotsFor(ram: number, bytesPerExpert: number | undefined): number {
  if (bytesPerExpert === undefined || !(bytesPerExpert > 0)) throw new UsageError('--ram needs --bytes-per-expert: "moebius inspect MODEL" tells it.');
  const slots = Math.floor(ram / bytesPerExpert);
  if (slots < 1) throw new UsageError(`${ram} bytes of RAM hold no expert of ${bytesPerExpert} bytes.`);
  return slots;
}

const percent = (share: number) => `${(share * 100).toFixed(1)}%`;

export function replayText(result: ReplayResult): string {
  const damage = result.whole ? '' : '\nThe end of the file is cut or damaged; everything before it was replayed.';
  const used = `${result.expertUsedCount} of ${result.expertCount} experts a token in ${result.moeLayers.length} layers`;
  return [
    `${result.model}: ${result.tokens} tokens in ${result.batches} batches, ${used}${damage}`,
    policyTable(result.policies),
    consistencyText(result),
    adviceText(result),
  ].join('\n\n');
}

function policyTable(policies: PolicyReplay[]): string {
  const sized = policies.some((each) => each.bytesPerToken !== null);
  const rows = policies.map((each) => [
    each.readAhead > 0 ? `${each.policy}, reading ahead` : each.policy,
    slotsText(each.slots),
    percent(each.hitRate),
    String(each.misses),
    each.readAhead > 0 ? `${each.prefetched} (${each.useful} used)` : '-',
    each.readsPerToken.toFixed(2),
    ...(sized ? [formatBytes(each.bytesPerToken ?? 0)] : []),
  ]);
  return formatTable([['policy', 'slots a layer', 'hits', 'misses', 'read ahead', 'reads/token', ...(sized ? ['bytes/token'] : [])], ...rows]);
}

/** `4`, or `2..6` where layers differ */
function slotsText(slots: number[]): string {
  const [least, most] = [Math.min(...slots), Math.max(...slots)];
  return least === most ? String(least) : `${least}..${most}`;
}

function consistencyText({ consistency, expertUsedCount }: ReplayResult): string {
  const rows = consistency.segments.map((each) => [String(each.length), percent(each.segmentRouting), percent(each.segmentCache)]);
  const slots = Math.round(consistency.factor * expertUsedCount);
  const title = `Local routing consistency with ${slots} experts a layer: a fixed group per segment (SRP), a cache that knows so many tokens (SCH)`;
  const suitability = `Suitability for offloading: ${consistency.suitability.toFixed(2)} (0: a cache does no better than chance, 1: it always hits)`;
  return `${title}\n${formatTable([['tokens', 'SRP', 'SCH'], ...rows])}\n${suitability}`;
}

function adviceText({ best, advice }: ReplayResult): string {
  const target = percent(advice.targetHitRate);
  const enough = advice.slots === null ? `no number of slots reaches ${target}` : `${advice.slots} slots a layer reach ${target}`;
  return `Best policy on demand: ${best}. With it, ${enough}; beyond ${advice.knee}, more slots pay less and less.`;
}
