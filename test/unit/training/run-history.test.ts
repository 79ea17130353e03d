// What a run's metrics.jsonl says of it.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunEvent, TrainingRecipe } from '../../../main/contract/index.ts';
import { settingDifferences } from '../../../main/training/jobs/differences.ts';
import { recipesFor } from '../../../main/training/jobs/recipes.ts';
import { Histories } from '../../../main/training/run/histories.ts';
import { RunHistory } from '../../../main/training/run/run-history.ts';
import { dataUse, trainingRun, trainingStep } from '../../support/training.ts';

const openedAt = (step: number): RunEvent => ({
  event: 'opened',
  resumed: step > 0 ? 'a checkpoint' : null,
  step,
  steps: 10,
  examples: 7,
  validates: true,
  parameters: 64,
  tensors: [],
  optimiserBytes: 512,
});
const validation = (step: number, loss: number): RunEvent => ({ event: 'validation', step, loss, targets: 9, seconds: 1 });

function historyOf(events: RunEvent[]): RunHistory {
  const history = new RunHistory();
  for (const event of events) history.add(event);
  return history;
}

describe('a run history', () => {
  it('counts steps that were done again behind a kill once, the later time', () => {
    const events = [openedAt(0), validation(0, 5), trainingStep(1), trainingStep(2), trainingStep(3, { loss: 9 }), validation(3, 4)];
    const again = [openedAt(2), trainingStep(3, { loss: 8 }), validation(3, 3)];
    const { points, validations } = historyOf([...events, ...again]).metrics('a', 100);
    expect(points.map(({ step, loss }) => [step, loss])).toEqual([
      [1, 3],
      [2, 3],
      [3, 8],
    ]);
    expect(validations.map(({ step, loss }) => [step, loss])).toEqual([
      [0, 5],
      [3, 3],
    ]);
  });

  it('keeps what became of the rows, as the newest life told it', () => {
    expect(historyOf([openedAt(0)]).metrics('a', 100).data).toBeNull();
    const told = (cut: number): RunEvent => ({ event: 'data', ...dataUse({ cut }) });
    expect(historyOf([told(1), openedAt(0), told(2), openedAt(0)]).metrics('a', 100).data).toEqual(dataUse({ cut: 2 }));
  });

  it('follows the guardian back, and tells where it did not let a step pass', () => {
    const back = trainingStep(2, { guardian: { action: 'roll-back', reason: 'a spike' } });
    const { points, interventions } = historyOf([openedAt(0), trainingStep(1), trainingStep(2), trainingStep(3), back]).metrics('a', 100);
    expect(points.map(({ step }) => step)).toEqual([1, 2]);
    expect(interventions).toEqual([{ step: 2, action: 'roll-back', reason: 'a spike' }]);
    const odd = trainingStep(3, { guardian: { action: 'go-on', reason: 'going back did not help' } });
    expect(historyOf([openedAt(0), trainingStep(1), odd]).metrics('a', 100).interventions).toEqual([
      { step: 3, action: 'go-on', reason: 'going back did not help' },
    ]);
  });

  it('means what preferences say over the steps of a point, and keeps what validation says of them', () => {
    const preference = { accuracy: 1, margin: 0.5, chosenReward: 0.2, rejectedReward: -0.3 };
    const steps = [trainingStep(1, { preference }), trainingStep(2, { preference: { ...preference, accuracy: 0.5, margin: null } })];
    const { points, validations } = historyOf([
      openedAt(0),
      validation(0, 1),
      ...steps,
      { event: 'validation', step: 2, loss: 1, targets: 9, seconds: 1, preference },
    ]).metrics('a', 1);
    expect(points.map((point) => point.preference)).toEqual([{ ...preference, accuracy: 0.75 }]);
    expect(validations.map((each) => each.preference)).toEqual([null, preference]);
    expect(historyOf([trainingStep(1)]).metrics('a', 1).points[0]?.preference).toBeNull();
  });

  it('keeps the losses with each number of experts', () => {
    const byExpertUsedCount = [1, 2].map((expertUsedCount) => ({ expertUsedCount, loss: 4 / expertUsedCount }));
    const { validations } = historyOf([openedAt(0), { event: 'validation', step: 0, loss: 2, targets: 9, seconds: 1, byExpertUsedCount }]).metrics('a', 1);
    expect(validations).toEqual([{ step: 0, loss: 2, targets: 9, preference: null, byExpertUsedCount }]);
  });

  it('is told in fewer points: means, extremes, and the last of the learning rate', () => {
    const steps = [1, 2, 3, 4, 5].map((step) => trainingStep(step, { loss: step, learningRate: step / 10, tokens: 100 * step, seconds: 1 }));
    const { points } = historyOf([openedAt(0), ...steps]).metrics('a', 2);
    expect(points).toHaveLength(2);
    expect(points[0]).toMatchObject({ step: 3, steps: 3, loss: 2, lossLeast: 1, lossMost: 3, learningRate: 0.3, tokensPerSecond: 200 });
    expect(points[1]).toMatchObject({ step: 5, steps: 2, loss: 4.5 });
  });

  it('leaves out what is no number', () => {
    const { points } = historyOf([trainingStep(1, { loss: null }), trainingStep(2, { loss: 4, memoryBytes: null })]).metrics('a', 1);
    expect(points).toMatchObject([{ loss: 4, lossLeast: 4, memoryBytes: 1000 }]);
    expect(historyOf([trainingStep(1, { loss: null })]).metrics('a', 1).points).toMatchObject([{ loss: null, lossMost: null }]);
  });

  it('adds up the load of experts', () => {
    const { expertTokens } = historyOf([
      trainingStep(1),
      trainingStep(2, {
        expertTokens: [
          [5, 0],
          [0, 1],
        ],
      }),
    ]).metrics('a', 10);
    expect(expertTokens).toEqual({
      total: [
        [6, 2],
        [3, 1],
      ],
      last: [
        [5, 0],
        [0, 1],
      ],
    });
  });
});

describe('histories of runs', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'moebius-history-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const write = (text: string) => appendFileSync(join(folder, 'metrics.jsonl'), text);

  it('read on where they were, and bear half a line that a kill left', async () => {
    const histories = new Histories();
    const steps = async () => (await histories.of(folder)).metrics('a', 100).points.map(({ step }) => step);
    expect(await steps()).toEqual([]);
    const line = JSON.stringify(trainingStep(1));
    write(line.slice(0, 50));
    expect(await steps()).toEqual([]);
    write(`${line.slice(50)}\n${JSON.stringify(trainingStep(2)).slice(0, 40)}`);
    expect(await steps()).toEqual([1]);
    write(`${JSON.stringify(openedAt(1))}\n${JSON.stringify(trainingStep(2))}\n`);
    expect(await steps()).toEqual([1, 2]);
  });

  it('are long: more than is read at once', async () => {
    const many = Array.from({ length: 6000 }, (_, index) => `${JSON.stringify(trainingStep(index + 3))}\n`);
    write(many.join(''));
    const { points } = (await new Histories().of(folder)).metrics('a', 10_000);
    expect(points).toHaveLength(6002);
    expect(points.at(-1)?.step).toBe(6002);
  });
});

describe('differences of runs', () => {
  it('are settings by their path, also those that only one names', () => {
    const a = trainingRun();
    const b = trainingRun({ plan: { ...a.plan, schedule: { steps: 20 }, clip: 1, data: { files: ['/data/roman.jsonl', '/data/more.jsonl'] } } });
    expect(settingDifferences([a, b])).toEqual([
      { setting: 'schedule.steps', values: [10, 20] },
      { setting: 'data.files', values: [['/data/roman.jsonl'], ['/data/roman.jsonl', '/data/more.jsonl']] },
      { setting: 'clip', values: [null, 1] },
    ]);
    expect(settingDifferences([a, a])).toEqual([]);
  });
});

describe('recipes', () => {
  it('go three times through the data, in batches that hold the longest example and no more than the context', () => {
    const [first] = recipesFor({ contextLength: 4096, moeLayers: [0] }, { tokens: 194_560, longest: 3000 });
    expect(first?.plan).toMatchObject({
      batchTokens: 3000,
      schedule: { kind: 'cosine', learningRate: 2e-4 },
      adapter: { experts: { loraRank: 16, loraAlpha: 32 } },
    });
    const [small] = recipesFor({ contextLength: 512, moeLayers: [0] }, { tokens: 97_280 });
    expect(small?.plan).toMatchObject({ batchTokens: 512, schedule: { steps: 600, warmupSteps: 18 } });
  });

  it('do not adapt experts that a model does not have', () => {
    const dense = recipesFor({ contextLength: 4096, moeLayers: [] }, {});
    expect(dense.map(({ plan }) => Object.keys(plan.adapter))).toEqual([['attention', 'ffn'], ['attention', 'mixture'], ['attention']]);
    expect(dense.every(({ plan }) => TrainingRecipe.shape.plan.safeParse(plan).success)).toBe(true);
  });
});
