// What a plan says, in words.
import type { Estimate, PlanResult, SpeedForecast } from '../../../main/contract/index.ts';
import { format } from '../../components/index.ts';

/** `14`, `13 to 15` */
export function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? String(least) : `${least} to ${most}`;
}

/** Experts of a layer that have room, by device, and those that have none. */
export function slotsText({ placement, hardware }: PlanResult): string | null {
  if (placement.experts.length === 0) return null;
  const onDevice = hardware.flatMap(({ id }) => {
    const slots = placement.experts.map((layer) => layer.slots[id] ?? 0);
    return Math.max(...slots) > 0 ? [`${range(slots)} ${id === 'CPU' ? 'in RAM' : `on ${id}`}`] : [];
  });
  const onDisk = placement.experts.map(({ onlyOnDisk }) => onlyOnDisk);
  return [...onDevice, ...(Math.max(...onDisk) > 0 ? [`${range(onDisk)} only on disk`] : [])].join(', ');
}

/** `layers 0 to 3 and output on CPU` */
export function layersText({ placement: { blocks, output } }: PlanResult): string {
  const runs = blocks.map(({ device, first, last }) => `${first === last ? `layer ${first}` : `layers ${first} to ${last}`} on ${device}`);
  return `${runs.join(', ')}; output on ${output}`;
}

/** What the bottleneck can do at most: `10.2 GiB/s`, `180 GFLOP/s`; null where no figure of the hardware says it. */
export function hardwareLimit({ hardware, diskBandwidth }: PlanResult, resource: string): string | null {
  const perSecond = (bytes: number) => `${format.bytes(bytes)}/s`;
  if (resource === 'disk') return diskBandwidth === null ? null : perSecond(diskBandwidth);
  if (resource === 'link') {
    const links = hardware.flatMap(({ linkBandwidth }) => linkBandwidth ?? []);
    return links.length > 0 ? perSecond(Math.min(...links)) : null;
  }
  for (const { id, bandwidth, flops } of hardware) {
    if (resource === `${id === 'CPU' ? 'RAM' : id} bandwidth`) return perSecond(bandwidth);
    if (resource === `${id} compute`) return `${format.count(flops / 1e9)} GFLOP/s`;
  }
  return null;
}

/** `RAM bandwidth, 10.2 GiB/s: alone it allows 96.2 tok/s` */
export function bottleneckText(plan: PlanResult, speed: SpeedForecast): string {
  const limit = hardwareLimit(plan, speed.bottleneck);
  const alone = speed.limits[0]?.tokensPerSecond;
  return `${speed.bottleneck}${limit === null ? '' : `, ${limit}`}${alone === undefined ? '' : `: alone it allows ${format.rate(alone)}`}`;
}

export function hitRateText({ hitRate: { rate, source, policy } }: PlanResult): string {
  const because = { all: 'all experts are in memory', trace: `recorded routing, ${policy}`, guess: `a guess: no routing of this model is recorded, ${policy}` }[
    source
  ];
  return `${format.percent(rate)} (${because})`;
}

/** The first device that is too small. */
export function shortDevice({ devices }: Estimate): { id: string; need: number; have: number } | null {
  for (const { id, weights, experts, kvCache, compute, memoryFree, memoryTotal } of devices) {
    const need = weights + experts + kvCache + compute;
    if (memoryTotal > 0 && need > memoryFree) return { id, need, have: memoryFree };
  }
  return null;
}

type Split = NonNullable<PlanResult['folding']>['chosen'];

const perDevice = (counts: Record<string, number>, unit: string): string =>
  Object.entries(counts)
    .flatMap(([id, count]) => (count > 0 ? [`${count} ${unit}${count === 1 ? '' : 's'} ${id === 'CPU' ? 'in RAM' : `on ${id}`}`] : []))
    .join(', ');

/** `4 layers on G0; of each layer 8 experts on G0, 16 experts on G1` */
export function splitText({ blocks, whole, copies }: Split): string {
  const experts = whole ? 'experts with their layer' : `of each layer ${perDevice(copies, 'expert') || 'no expert on a GPU'}`;
  return `${perDevice(blocks, 'layer')}; ${experts}`;
}
