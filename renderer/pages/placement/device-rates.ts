// What the devices did between two looks at the counters of ExpertDevices.
import type { ExpertDevices } from '../../../main/contract/index.ts';

export interface DeviceRates {
  /** share of the computed tokens of experts, 0..1; devices in their order, the CPU last */
  shares: number[];
  /** bytes per second of copies made, of each device */
  linkRates: number[];
  /** the busiest device's time over their mean; null: they did nothing, or there is one */
  balance: number | null;
  /** of each layer, milliseconds: what a batch took, and how long each device and, last, the CPU was busy for it; summed over the time between */
  layers: { total: number; busy: number[] }[];
}

export const NO_RATES: DeviceRates = { shares: [], linkRates: [], balance: null, layers: [] };

export function deviceRates(before: ExpertDevices, now: ExpertDevices, seconds: number): DeviceRates {
  const tokens = [...now.devices.map((device, i) => device.tokens - (before.devices[i]?.tokens ?? 0)), now.cpuTokens - before.cpuTokens];
  const all = tokens.reduce((sum, count) => sum + count, 0);
  const layers = now.layers.map((layer, row) => {
    const earlier = before.layers[row];
    return {
      total: layer.totalMilliseconds - (earlier?.totalMilliseconds ?? 0),
      busy: layer.busyMilliseconds.map((busy, i) => busy - (earlier?.busyMilliseconds[i] ?? 0)),
    };
  });
  return {
    shares: tokens.map((count) => (all > 0 ? count / all : 0)),
    linkRates: now.devices.map((device, i) => Math.max(0, device.bytesCopied - (before.devices[i]?.bytesCopied ?? 0)) / seconds),
    balance: balanceOf(now, layers),
    layers,
  };
}

/** Over the devices that hold experts. */
function balanceOf({ devices }: ExpertDevices, layers: DeviceRates['layers']): number | null {
  const busy = devices.flatMap(({ lost, bytes }, i) => (lost || bytes === 0 ? [] : [layers.reduce((sum, layer) => sum + (layer.busy[i] ?? 0), 0)]));
  const sum = busy.reduce((total, time) => total + time, 0);
  return busy.length < 2 || sum <= 0 ? null : (Math.max(...busy) * busy.length) / sum;
}

type Layer = ExpertDevices['layers'][number];

const setsOf = (copies: string): number[] => copies.match(/../g)?.map((digits) => Number.parseInt(digits, 16)) ?? [];

/** Experts of a layer: a bit for each device that holds a copy, in whatever precision. */
export function copiesOf(layer: Layer): number[] {
  const low = setsOf(layer.lowCopies);
  return setsOf(layer.copies).map((set, expert) => set | (low[expert] ?? 0));
}

/** Experts of a layer that devices hold in low precision only. */
export function lowOf(layer: Layer): boolean[] {
  const full = setsOf(layer.copies);
  return setsOf(layer.lowCopies).map((set, expert) => set !== 0 && full[expert] === 0);
}
