import { expect, it } from 'vitest';
import { learningRateAt, learningRateCurve } from '../../../../renderer/pages/fine-tune/learning-rate.ts';

// Values follow from the definitions in native/train/descent/schedule.h.
const base = { steps: 10, learningRate: 1, warmupSteps: 2 };
const rates = (schedule: Parameters<typeof learningRateAt>[0], stepTokens = 100) =>
  Array.from({ length: schedule.steps }, (_, step) => learningRateAt(schedule, stepTokens, step));

it('warms up from the first step, and is constant from then on', () => {
  expect(rates({ ...base, kind: 'constant' })).toEqual([0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  expect(rates({ steps: 2 })).toEqual([2e-4, 2e-4]); // the trainer's defaults
});

it('falls on a line or a cosine, to what is reached behind the last step', () => {
  expect(rates({ ...base, kind: 'linear', finalFraction: 0.2 })[6]).toBeCloseTo(0.6);
  expect(rates({ ...base, kind: 'cosine' })[6]).toBeCloseTo(0.5);
  expect(rates({ ...base, kind: 'cosine' })[9]).toBeCloseTo((1 + Math.cos((Math.PI * 7) / 8)) / 2);
});

it('is stable before its final decay', () => {
  expect(rates({ ...base, kind: 'wsd', decaySteps: 4 })).toEqual([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]);
});

it('follows the power law where that is below the full rate', () => {
  const power = { ...base, kind: 'power' as const, batchSequences: 8, powerA: 1, powerB: -0.5, learningRate: 0.4 };
  const [, second, third, , , , , , , last] = rates(power);
  expect(second).toBe(0.4); // 8 / sqrt(200) is more
  expect(third).toBeCloseTo(Math.min(0.4, 8 / Math.sqrt(300)));
  expect(last).toBeCloseTo(8 / Math.sqrt(1000));
});

it('draws long runs with few points, from the first step to the last', () => {
  const curve = learningRateCurve({ steps: 100_000, kind: 'cosine', learningRate: 1 }, 1, 50);
  expect(curve).toHaveLength(50);
  expect([curve[0]?.[0], curve[49]?.[0]]).toEqual([0, 99_999]);
  expect(learningRateCurve({ steps: 1 }, 1)).toEqual([[0, 2e-4]]);
});
