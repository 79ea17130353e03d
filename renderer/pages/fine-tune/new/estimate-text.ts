// What an estimate says, in words.
import type { TrainEstimate, TrainMemory } from '../../../../main/contract/index.ts';
import { format } from '../../../components/index.ts';

type Part = { label: string; keys: (keyof TrainMemory)[] };

/** What is shown of a device, in this order. */
export const MEMORY_PARTS: Part[] = [
  { label: 'base', keys: ['weights'] },
  { label: 'its experts', keys: ['experts'] },
  { label: 'adapter and gradients', keys: ['adapter', 'gradients'] },
  { label: 'optimiser and copies', keys: ['optimiser', 'guardian', 'saving'] },
  { label: 'activations', keys: ['layerInputs', 'compute', 'data'] },
  { label: 'answering samples', keys: ['reserved'] },
];

export const partBytes = (memory: TrainMemory, { keys }: Part): number => keys.reduce((sum, key) => sum + memory[key], 0);

const ROUND = [1, 2, 5, 10, 15, 20, 30];

/** `about 40 s`, `about 2 min 30 s`, `about 3 h 20 min`: no more figures than an estimate has. */
export function aboutText(seconds: number): string {
  if (seconds < 1) return 'less than a second';
  const step = ROUND.findLast((one) => one <= seconds / 5) ?? 1;
  if (seconds < 3600) return `about ${timeText(Math.round(seconds / step) * step)}`;
  return `about ${timeText(Math.round(seconds / 600) * 600)}`;
}

function timeText(seconds: number): string {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const all: [number, string][] = [
    [hours, 'h'],
    [minutes, 'min'],
    [rest, 's'],
  ];
  return all
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

/** How the time was found. */
export const measuredText = ({ measuredLayers, layers, measuredTokens }: NonNullable<TrainEstimate['time']>): string =>
  `${measuredLayers} of ${layers} layers computed a batch of ${measuredTokens} tokens; validation, checkpoints and samples come on top`;

/** The first device that is too small. */
export function shortText({ devices, isLeast }: TrainEstimate): string | null {
  const short = devices.find(({ need, memoryFree, memoryTotal }) => memoryTotal > 0 && need > memoryFree);
  if (!short) return null;
  return `${isLeast ? 'More than ' : ''}${format.bytes(short.need)} needed on ${short.id}, ${format.bytes(short.memoryFree)} free.`;
}

/** What helps most, by what takes most. */
export function fitAdvice({ devices }: TrainEstimate): string {
  const sum = (keys: (keyof TrainMemory)[]) => devices.reduce((all, device) => all + keys.reduce((one, key) => one + device[key], 0), 0);
  const ways: [number, string][] = [
    [sum(['layerInputs', 'compute']), 'fewer tokens in a batch'],
    [sum(['adapter', 'gradients', 'optimiser', 'guardian', 'saving']), 'smaller ranks, fewer parts or the 8-bit optimiser'],
    [sum(['reserved']), 'no samples from checkpoints'],
    [sum(['experts']), 'less room for experts, so that their layers are read from disk in turns'],
  ];
  const wanted = ways.filter(([bytes]) => bytes > 0).sort(([a], [b]) => b - a);
  return `Take ${wanted.map(([, way]) => way).join('; or ')}; or close other programs.`;
}
