import { describe, expect, it } from 'vitest';
import type { TrainingPlan } from '../../../main/contract/index.ts';
import { type EstimatedReport, exampleLengths } from '../../../main/training/jobs/estimate.ts';

const report: EstimatedReport = {
  good: 100,
  kinds: { conversation: 100, text: 0, preference: 0 },
  split: { share: 0.1, seed: 1, train: 90, validation: 10 },
  tokens: {
    ...{ model: 'm', loss: 'replies', total: 4000, supervised: 1000, context: 4096, overContext: 0 },
    lengths: {
      ...{ count: 100, mean: 40, p50: 30, p90: 60, p99: 100, max: 100 },
      bars: [
        { from: 16, to: 31, count: 60 },
        { from: 32, to: 63, count: 30 },
        { from: 64, to: 127, count: 10 },
      ],
    },
  },
};
const plan = (data: Partial<TrainingPlan['data']> = {}): TrainingPlan => ({ adapter: {}, schedule: { steps: 1 }, data: { files: ['a'], ...data } });

describe('lengths of examples as an estimate takes them', () => {
  it('are those of the training part, with the longest one', () => {
    expect(exampleLengths(report, plan(), 2048)).toEqual({
      learnt: 0.25,
      lengths: [
        { tokens: 24, examples: 54 },
        { tokens: 48, examples: 27 },
        { tokens: 82, examples: 9 },
        { tokens: 100, examples: 1 },
      ],
    });
  });

  it('are cut or left out as the plan says, and fit a batch', () => {
    const tokens = (data: Partial<TrainingPlan['data']>, room = 2048) => exampleLengths(report, plan(data), room)?.lengths.map((one) => one.tokens);
    expect(tokens({ maxTokens: 40 })).toEqual([24, 40, 40, 40]);
    expect(tokens({ maxTokens: 40, overLong: 'leave-out' })).toEqual([24, 40]);
    expect(tokens({}, 64)).toEqual([24, 48, 64, 64]);
  });

  it('of pairs leave room for both', () => {
    const pairs = { ...report, kinds: { conversation: 0, text: 0, preference: 100 } };
    expect(exampleLengths(pairs, plan(), 120)?.lengths.at(-1)).toEqual({ tokens: 60, examples: 1 });
  });

  it('are not known of data that was read without a model, or has no good row', () => {
    expect(exampleLengths({ ...report, tokens: null }, plan(), 2048)).toBeNull();
    expect(exampleLengths({ ...report, good: 0 }, plan(), 2048)).toBeNull();
  });
});
