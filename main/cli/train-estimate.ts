// What `moebius train --estimate` says.
import type { TrainEstimate, TrainMemory } from '../engine/train-estimate-protocol.ts';
import { formatBytes, formatCount, formatTable, significant } from './output.ts';

const PARTS: [keyof TrainMemory, string][] = [
  ['weights', 'weights'],
  ['experts', 'experts'],
  ['adapter', 'adapter'],
  ['gradients', 'gradients'],
  ['optimiser', 'optimiser'],
  ['guardian', 'to go back to'],
  ['layerInputs', 'inputs of layers'],
  ['compute', 'computing'],
  ['saving', 'saving'],
  ['data', 'data'],
  ['reserved', 'beside it, as samples'],
];

export function estimateText({ devices, fits, isLeast, expertsOnDisk, parameters, tokensPerStep, steps, time, engineBytes }: TrainEstimate): string {
  const rows = [
    ['', ...devices.map(({ id }) => id)],
    ...PARTS.map(([key, label]) => [label, ...devices.map((device) => formatBytes(device[key]))]),
    ['together', ...devices.map(({ need }) => formatBytes(need))],
    ['free now', ...devices.map(({ memoryFree, memoryTotal }) => (memoryTotal > 0 ? formatBytes(memoryFree) : 'unknown'))],
  ];
  return [
    formatTable(rows),
    `The engine itself has ${formatBytes(engineBytes)} besides.`,
    ...(expertsOnDisk > 0 ? [`${formatBytes(expertsOnDisk)} of experts are read from disk in turns.`] : []),
    `${formatCount(parameters)} parameters; ${steps} steps of ${Math.round(tokensPerStep)} tokens.`,
    fits ? 'It fits.' : `It does not fit${isLeast ? ', and needs more than this' : ''}.`,
    ...(time === null ? [] : [timeText(time)]),
  ].join('\n');
}

function timeText({ stepSeconds, seconds, measuredLayers, layers, measuredTokens }: NonNullable<TrainEstimate['time']>): string {
  return `About ${significant(stepSeconds)} s a step and ${significant(seconds)} s in all, from ${measuredLayers} of ${layers} layers that computed ${measuredTokens} tokens.`;
}
