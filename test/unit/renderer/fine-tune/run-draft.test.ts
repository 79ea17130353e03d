import { expect, it } from 'vitest';
import type { DatasetReport } from '../../../../main/contract/index.ts';
import { draftErrors, newDraft, planText, type RunDraft, stepsOfEpoch, toRequest, useRunDraft } from '../../../../renderer/pages/fine-tune/new/run-draft.ts';

const report = (changes: Partial<DatasetReport> = {}): DatasetReport => ({
  files: [],
  rows: 110,
  good: 100,
  bad: 10,
  kinds: { conversation: 100, text: 0, preference: 0 },
  badRows: { reasons: [], listed: [] },
  warnings: [],
  duplicates: { count: 0, incomplete: false, listed: [] },
  split: { share: 0.05, seed: 1, train: 95, validation: 5 },
  tokens: {
    model: 'm',
    loss: 'replies',
    lengths: { count: 100, mean: 50, p50: 40, p90: 90, p99: 200, max: 300, bars: [] },
    total: 10_000,
    supervised: 4000,
    context: 512,
    overContext: 0,
  },
  preview: [],
  ...changes,
});

const ready = (changes: Partial<RunDraft['plan']> = {}): RunDraft => {
  const draft = newDraft();
  return { ...draft, plan: { ...draft.plan, data: { files: ['/data/a.jsonl'] }, ...changes } };
};
const { schedule } = newDraft().plan;

it('finds nothing wrong with the defaults once there is data', () => {
  expect(draftErrors(newDraft(), null)).toEqual({ files: 'Add a file with examples first.' });
  expect(draftErrors(ready(), null)).toEqual({});
});

it('tells with the numbers what cannot be, at its field', () => {
  expect(draftErrors(ready({ adapter: {} }), null)).toHaveProperty('adapter');
  expect(draftErrors(ready({ adapter: { router: { loraRank: 4 }, wholeRouter: true } }), null)).toHaveProperty('router');
  const long = ready({ batchTokens: 256, data: { files: ['/a'], maxTokens: 300 } });
  expect(draftErrors(long, null).batchTokens).toMatch(/300 tokens.*room for 256/);
  expect(draftErrors(ready({ schedule: { ...schedule, steps: 5 } }), null).warmupSteps).toMatch(/6 steps.*only 5/);
  const decay = { ...schedule, kind: 'wsd' as const, decaySteps: 195 };
  expect(draftErrors(ready({ schedule: decay }), null).decaySteps).toMatch(/195 steps.*200 has 194 left/);
  expect(draftErrors(ready({ schedule: { ...schedule, kind: 'power' } }), null)).toHaveProperty('batchSequences');
});

it('waits until it is clear how the rows are meant', () => {
  const error = { code: 'dataset.format-unsure' as const, message: '' };
  expect(draftErrors(ready(), error).files).toMatch(/how the rows are meant/);
  expect(draftErrors(ready(), { code: 'file.not-found', message: '' })).toHaveProperty('files');
});

it('says how many steps an epoch has', () => {
  expect(stepsOfEpoch(ready().plan, null)).toBeNull();
  expect(stepsOfEpoch(ready().plan, report())).toBe(5); // 9,500 tokens, 2,048 a step
  expect(stepsOfEpoch(ready({ batchesPerStep: 8 }).plan, report())).toBe(1);
});

it('says what will be done', () => {
  const adapter = { attention: { loraRank: 8 }, experts: { loraRank: 4 }, wholeNorms: true };
  expect(planText(ready({ adapter, batchTokens: 512, batchesPerStep: 2 }))).toBe('200 steps of 1024 tokens · attention rank 8 · experts rank 4 · norms');
});

it('asks the core only for settings that belong to the schedule and the optimiser', () => {
  const optimiser = { kind: 'sgd' as const, momentum: 0.9, beta1: 0.5 };
  const draft = ready({ optimiser, schedule: { ...schedule, decaySteps: 20, powerA: 1 } });
  const { plan, modelId, name } = toRequest({ ...draft, name: '  ' }, 'tiny');
  expect([plan.optimiser, plan.schedule, modelId, name]).toEqual([{ kind: 'sgd', momentum: 0.9 }, schedule, 'tiny', undefined]);
  expect(toRequest(ready({ schedule: { ...schedule, kind: 'wsd', decaySteps: 20, powerA: 1 } }), 'tiny').plan.schedule).toEqual({
    ...schedule,
    kind: 'wsd',
    decaySteps: 20,
  });
});

it('a recipe leaves the data, and an emptied field its default', () => {
  const { changeData, changePlan, takeRecipe } = useRunDraft.getState();
  changeData({ files: ['/a'], maxTokens: 5 });
  changeData({ maxTokens: undefined });
  changePlan({ clip: 2 });
  changePlan({ clip: undefined });
  expect(useRunDraft.getState().draft.plan).not.toHaveProperty('clip');
  const { data: _, ...plan } = newDraft().plan;
  takeRecipe({ id: 'quick', name: 'Quick', note: '', plan: { ...plan, batchTokens: 99 } });
  expect(useRunDraft.getState().draft).toMatchObject({ recipeId: 'quick', plan: { data: { files: ['/a'] }, batchTokens: 99 } });
});
