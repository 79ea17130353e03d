// Replays a recorded trace on several devices: how evenly would they work, and how many copies of experts would have to move?
import type { Command } from 'commander';
import { type DeviceReplay, DeviceReplayParameters, type DeviceReplayResult } from '../contract/index.ts';
import { describeIssues } from '../rpc/dispatcher.ts';
import { number, UsageError, wholeNumber } from './options.ts';
import { formatBytes, formatTable } from './output.ts';

export interface DeviceFlags {
  devices?: number;
  deviceSlots?: number;
  speeds?: string;
  bandwidths?: string;
  batch?: number;
  atOnce?: boolean;
  window?: number;
  capacityFactor?: number;
  bytesPerExpert?: number;
  lowShare?: number;
  lowBytes?: number;
}

export function addDeviceOptions(command: Command): Command {
  return command
    .option('--devices <n>', 'replay on that many devices instead of through one cache', wholeNumber)
    .option('--device-slots <n>', 'with --devices: experts of each layer that have room on a device', wholeNumber)
    .option('--speeds <list>', 'with --devices: relative speeds, e.g. 1,1,0.5 (default: all the same)')
    .option('--bandwidths <list>', 'with --devices: relative bandwidths of the links to them, e.g. 1,1,0.05 for one on another machine (default: all the same)')
    .option('--batch <tokens>', 'with --devices: tokens per batch (default: 512)', wholeNumber)
    .option('--at-once', 'with --devices: the sequences of the trace a token each in turn, as a server evaluates them')
    .option('--window <batches>', 'with --devices: batches after which copies are placed anew (default: 8)', wholeNumber)
    .option('--capacity-factor <x>', 'with --devices: how many times its even share a device takes before it drops tokens (default: 1)', number)
    .option('--low-share <x>', 'with --devices: share of the experts that replicate-quantize may keep in low precision (default: 0.25)', number)
    .option('--low-bytes <x>', 'with --devices: their bytes as a share of those in full precision (default: 0.53, q4_0 for q8_0)', number);
}

/** Throws UsageError. */
export function toDeviceParameters(path: string, flags: DeviceFlags): DeviceReplayParameters {
  const { devices: count = 0, deviceSlots: slots } = flags;
  if (slots === undefined) throw new UsageError('--devices needs --device-slots: how many experts of each layer have room on a device.');
  const speeds = ofDevices('--speeds', flags.speeds, count);
  const bandwidths = ofDevices('--bandwidths', flags.bandwidths, count);
  const { batch, atOnce, window, capacityFactor, bytesPerExpert, lowShare, lowBytes } = flags;
  const devices = speeds.map((speed, i) => ({ slots, speed, bandwidth: bandwidths[i] }));
  const parsed = DeviceReplayParameters.safeParse({ path, devices, batch, atOnce, window, capacityFactor, bytesPerExpert, lowShare, lowBytes });
  if (!parsed.success) throw new UsageError(describeIssues(parsed.error));
  return parsed.data;
}

function ofDevices(flag: string, list: string | undefined, count: number): number[] {
  const values = list?.split(',').map(Number) ?? Array.from({ length: count }, () => 1);
  if (values.length !== count) throw new UsageError(`${flag} names ${values.length} devices, --devices ${count}.`);
  return values;
}

const percent = (share: number) => `${(share * 100).toFixed(1)}%`;

export function deviceReplayText(result: DeviceReplayResult): string {
  const damage = result.whole ? '' : '\nThe end of the file is cut or damaged; everything before it was replayed.';
  const sized = result.policies.some(({ bytesMoved }) => bytesMoved > 0);
  const toRow = (row: DeviceReplay) => [
    row.policy,
    row.balanceMean.toFixed(3),
    row.balanceWorst.toFixed(3),
    percent(row.survivedOnDevices),
    percent(row.survivedOnCopies),
    row.devicesPerToken.toFixed(2),
    row.slowRows > 0 ? percent(row.slowRows) : '-',
    row.lowShare > 0 ? percent(row.lowShare) : '-',
    (row.copiesMoved / Math.max(1, row.windows)).toFixed(1),
    ...(sized ? [formatBytes(row.bytesMoved / Math.max(1, row.windows))] : []),
  ];
  const head = [
    'policy',
    'max/mean',
    'worst',
    'survive (device)',
    'survive (copy)',
    'devices/token',
    'over slow links',
    'low precision',
    'copies/window',
    ...(sized ? ['bytes/window'] : []),
  ];
  return `${result.model ?? 'synthetic load'}: ${result.batches} batches, ${result.layers} layers of ${result.experts} experts${damage}\n\n${formatTable([head, ...result.policies.map(toRow)])}`;
}
