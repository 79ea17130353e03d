import { expect, it } from 'vitest';
import type { MetricPoint, RunEvent, RunMetrics } from '../../../../main/contract/index.ts';
import { RunHistory } from '../../../../renderer/pages/fine-tune/run/run-history.ts';

const step = (number: number, changes: Partial<Extract<RunEvent, { event: 'step' }>> = {}): RunEvent => ({
  event: 'step',
  step: number,
  loss: 3 - number / 10,
  balanceLoss: 1,
  zLoss: 0,
  learningRate: 1e-4 * number,
  gradientNorm: 2,
  tokens: 100,
  targets: 40,
  fill: 1,
  epoch: 0,
  seconds: 0.5,
  guardian: { action: 'go-on', reason: '' },
  expertTokens: [[1, 2]],
  unmoved: [],
  devices: null,
  memoryBytes: 1000,
  ...changes,
});
const validation = (number: number, loss: number): RunEvent => ({ event: 'validation', step: number, loss, targets: 10, seconds: 1 });
const point = (number: number, loss: number): MetricPoint => {
  const figures = { balanceLoss: 1, zLoss: 0, learningRate: 1, gradientNorm: 1, tokensPerSecond: 10, memoryBytes: null, preference: null };
  return { step: number, steps: 1, loss, lossLeast: loss, lossMost: loss, ...figures };
};
const metrics = (changes: Partial<RunMetrics> = {}): RunMetrics => {
  return { id: 'r', data: null, points: [], validations: [], saved: [], interventions: [], expertTokens: null, movement: null, ...changes };
};

const losses = (history: RunHistory) => history.columnsOfBoth(({ loss }) => loss);

it('puts training and validation over the same steps', () => {
  const history = new RunHistory();
  history.add(validation(0, 5));
  for (const number of [1, 2]) history.add(step(number));
  history.add(validation(2, 4));
  expect(losses(history)).toEqual([
    [0, 1, 2],
    [null, 2.9, 2.8],
    [5, null, 4],
  ]);
  expect(history.columns(['tokensPerSecond', 'memoryBytes'])).toEqual([
    [1, 2],
    [200, 200],
    [1000, 1000],
  ]);
});

it('what was told while the core was asked stays, and nothing is there twice', () => {
  const history = new RunHistory();
  history.add(step(3));
  history.add(step(4));
  history.add(validation(4, 1));
  history.take(metrics({ points: [point(1, 9), point(2, 8), point(3, 7)], validations: [{ step: 2, loss: 2, targets: 10, preference: null }] }));
  expect(losses(history)[0]).toEqual([1, 2, 3, 4]);
  expect(losses(history)[2]).toEqual([null, 2, null, 1]);
});

it('a run that goes on does its last steps again', () => {
  const history = new RunHistory();
  history.take(metrics({ points: [1, 2, 3, 4].map((number) => point(number, 1)) }));
  history.add({ event: 'opened', resumed: 'x', step: 2, steps: 9, examples: 1, validates: false, parameters: 1, tensors: [], optimiserBytes: 0 });
  expect(history.points.map((one) => one.step)).toEqual([1, 2]);
  history.add(step(3));
  expect(history.points.map(({ loss }) => loss)).toEqual([1, 1, 2.7]);
});

it('counts tokens of experts, and tells where the guardian stepped in', () => {
  const history = new RunHistory();
  history.add(step(1));
  history.add(step(2, { guardian: { action: 'skip', reason: 'the loss is no number' }, expertTokens: [[0, 5]] }));
  expect(history.expertTokens).toEqual({ total: [[1, 7]], last: [[0, 5]] });
  expect(history.interventions).toEqual([{ step: 2, action: 'skip', reason: 'the loss is no number' }]);
});

it('puts accuracy and margins of preferences over the same steps, and rewards beside each other', () => {
  const history = new RunHistory();
  history.add(step(1));
  expect(history.isOfPairs).toBe(false);
  const preference = { accuracy: 0.75, margin: 0.2, chosenReward: 0.1, rejectedReward: -0.1 };
  history.add(step(2, { preference }));
  history.add({ event: 'validation', step: 2, loss: 0.6, targets: 9, seconds: 1, preference: { ...preference, accuracy: 0.5, margin: null } });
  expect(history.isOfPairs).toBe(true);
  expect(history.columnsOfBoth(({ preference: of }) => of?.accuracy)).toEqual([
    [1, 2],
    [null, 0.75],
    [null, 0.5],
  ]);
  expect(history.columnsOfBoth(({ preference: of }) => of?.margin)[2]).toEqual([null, null]);
  expect(history.rewardColumns()).toEqual([
    [1, 2],
    [null, 0.1],
    [null, -0.1],
  ]);
});

it('puts losses with each number of experts over the steps of validation', () => {
  const history = new RunHistory();
  history.add(validation(0, 5));
  expect(history.usedCounts).toEqual([]);
  const losses = [2, 3].map((expertUsedCount) => ({ expertUsedCount, loss: expertUsedCount === 3 ? null : 4 }));
  history.add({ event: 'validation', step: 2, loss: 4, targets: 9, seconds: 1, byExpertUsedCount: losses });
  expect(history.usedCounts).toEqual([2, 3]);
  expect(history.usedCountColumns([2, 3])).toEqual([
    [0, 2],
    [null, 4],
    [null, null],
  ]);
});
