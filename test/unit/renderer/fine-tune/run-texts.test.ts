import { describe, expect, it } from 'vitest';
import { REPETITIONS_NOT_SOUGHT, type RunProgress, type TrainingRun } from '../../../../main/contract/index.ts';
import { actionsOf, dataText, fractionOf, lossText, movedText, progressText, stateText } from '../../../../renderer/pages/fine-tune/run-texts.ts';
import { dataUse } from '../../../support/training.ts';

const progress = (changes: Partial<RunProgress> = {}): RunProgress => {
  return { step: 40, loss: 1, validationLoss: null, learningRate: 1, tokensPerSecond: 512, secondsLeft: 200, memoryBytes: null, ...changes };
};
const running = { state: 'running' as const, preparing: null, progress: progress(), steps: 200 };
const trained: TrainingRun['trained'] = { parameters: 10, tensors: 4, optimiserBytes: 80, examples: 3, validates: true };

describe('how far a run is', () => {
  it('has a rate and a time left while it trains, and neither afterwards', () => {
    expect(progressText(running)).toBe('step 40 of 200 · 512 tok/s · 3 min 20 s left');
    expect(progressText({ ...running, state: 'paused' })).toBe('step 40 of 200');
    expect(progressText({ ...running, progress: progress({ tokensPerSecond: null, secondsLeft: null }) })).toBe('step 40 of 200');
    expect(fractionOf(running)).toBe(0.2);
  });

  it('is that of what is done before the run', () => {
    const reading = { ...running, state: 'preparing' as const, interrupted: false, preparing: { what: 'data' as const, fraction: 0.25 } };
    expect([stateText(reading), progressText(reading), fractionOf(reading)]).toEqual(['reading data', 'reading the data, 25%', 0.25]);
    const choosing = { ...reading, preparing: { what: 'experts' as const, fraction: 0.5 } };
    expect([stateText(choosing), progressText(choosing)]).toEqual(['choosing experts', 'choosing experts by what the data uses, 50%']);
    expect(fractionOf({ ...reading, preparing: null })).toBeUndefined();
  });
});

it('says that a run was interrupted, not just paused', () => {
  expect([true, false].map((interrupted) => stateText({ state: 'paused', preparing: null, interrupted }))).toEqual(['interrupted', 'paused']);
});

it('offers in each state what can be done then', () => {
  const offered = (['queued', 'running', 'pausing', 'paused', 'stopped', 'failed', 'done'] as const).map((state) => actionsOf({ state }).join());
  expect(offered).toEqual(['pause,stop', 'pause,stop', '', 'resume,stop', 'resume', 'resume', '']);
});

it('tells what should have moved and did not', () => {
  const run = { trained, progress: progress(), unmoved: [] as TrainingRun['unmoved'] };
  expect(movedText({ ...run, trained: null })).toBeNull();
  expect(movedText(run)).toEqual({ good: true, text: expect.stringContaining('4 tensors has moved') });
  expect(movedText({ ...run, progress: progress({ step: 0 }) })?.text).toMatch(/after the first step/);
  const unmoved = [1, 2, 3, 4].map((expert) => ({ name: 'blk.0.ffn_up_exps.weight.lora_b', expert, hasGradient: expert !== 2 }));
  const told = movedText({ ...run, unmoved });
  expect(told?.good).toBe(false);
  expect(told?.text).toMatch(/lora_b, expert 1; .*, expert 2 \(without a gradient\); .* and 1 more/);
});

it('has no figure for a loss that is no number', () => {
  expect([lossText(1.23456), lossText(null), lossText(undefined)]).toEqual(['1.235', '–', '–']);
});

describe('what became of the rows', () => {
  it('is a sentence, with nothing to look at when all are learnt as they are', () => {
    expect(dataText(dataUse())).toEqual({ text: '10 rows, 10 good and 0 bad; 9 for training, 1 for validation.', looks: [] });
  });

  it('names bad, cut, left-out and repeated rows, with the first place of each', () => {
    const files = [
      {
        path: '/data/a.jsonl',
        kind: 'jsonl' as const,
        unit: 'line' as const,
        bytes: 1,
        format: 'text' as const,
        map: {},
        why: '',
        confidence: 1,
        rows: 10,
        bad: 1,
      },
    ];
    const { looks } = dataText(
      dataUse({
        files,
        badRows: {
          reasons: [{ reason: 'row.not-json', text: 'not valid JSON', count: 2 }],
          listed: [{ file: 0, place: 7, reason: 'row.not-json', detail: 'no end' }],
        },
        cut: 3,
        leftOut: { overLong: 4, nothingToLearn: 5 },
        duplicates: { count: 6, incomplete: true, listed: [{ file: 0, place: 9, first: { file: 0, place: 1 } }] },
        warnings: [{ warning: 'turns.joined', text: 'they are joined', count: 8, first: { file: 0, place: 2 } }],
      }),
    );
    expect(looks).toEqual([
      '2 bad: not valid JSON (first: a.jsonl:7, no end)',
      '3 cut to the most tokens that may be',
      '4 left out: more tokens than may be',
      '5 left out: nothing to learn in them',
      '6 repeated (first: a.jsonl:9, as a.jsonl:1)',
      REPETITIONS_NOT_SOUGHT,
      '8 used, but worth a look: they are joined (first: a.jsonl:2)',
    ]);
  });
});
