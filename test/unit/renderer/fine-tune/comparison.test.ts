import { expect, it } from 'vitest';
import type { RunMetrics } from '../../../../main/contract/index.ts';
import { curves, toggled } from '../../../../renderer/pages/fine-tune/compare/curves.ts';
import { exportPath, typesOf } from '../../../../renderer/pages/fine-tune/run/export-choices.ts';
import { settingsOf } from '../../../../renderer/pages/fine-tune/run/settings-of.ts';

const metrics = (losses: [step: number, loss: number | null][]): RunMetrics => {
  const figures = { steps: 1, lossLeast: 0, lossMost: 0, balanceLoss: 0, zLoss: 0, learningRate: 1, gradientNorm: 1, tokensPerSecond: 1 };
  const points = losses.map(([step, loss]) => ({ step, loss, ...figures, memoryBytes: null, preference: null }));
  const validations = losses.slice(0, 1).map(([step, loss]) => ({ step, loss, targets: 1, preference: null }));
  return { id: 'r', data: null, points, validations, saved: [], interventions: [], expertTokens: null, movement: null };
};

it('puts curves of runs with other steps over each other', () => {
  const runs = [
    metrics([
      [1, 3],
      [3, 2],
    ]),
    metrics([
      [1, 4],
      [2, null],
    ]),
  ];
  expect(curves(runs, 'training')).toEqual([
    [1, 2, 3],
    [3, null, 2],
    [4, null, null],
  ]);
  expect(curves(runs, 'validation')).toEqual([[1], [3], [4]]);
});

it('chooses and lets go', () => {
  expect(toggled(['a', 'b'], 'a')).toEqual(['b']);
  expect(toggled(['b'], 'a')).toEqual(['b', 'a']);
});

it('names an export by run and step, in a folder of either system', () => {
  expect(exportPath('/models/', 'roman, Tiny MoE', 40, 'adapter')).toBe('/models/roman-Tiny-MoE-step-40-lora.gguf');
  expect(exportPath('C:\\models', '///', 0, 'peft')).toBe('C:\\models\\run-step-0-peft');
  expect(typesOf('merged')[0]?.value).toBe('same');
  expect(typesOf('adapter').map(({ value }) => value)).toEqual(['f32', 'f16']);
});

it('lists settings by their path', () => {
  expect(settingsOf({ data: { files: ['a', 'b'] }, seed: 1, none: undefined })).toEqual([
    { name: 'data.files', value: 'a, b' },
    { name: 'seed', value: '1' },
  ]);
});
