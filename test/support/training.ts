// Training runs and their events for tests that train nothing.
import type { DataUse, RunEvent, TrainingRun } from '../../main/contract/index.ts';

export function trainingRun(changes: Partial<TrainingRun> = {}): TrainingRun {
  return {
    id: 'run',
    name: 'roman, tiny',
    modelId: 'tiny-moe',
    modelPath: '/models/tiny-moe.gguf',
    folder: '/runs/run',
    plan: { adapter: { experts: { loraRank: 4 } }, schedule: { steps: 10 }, data: { files: ['/data/roman.jsonl'] } },
    state: 'paused',
    queuePlace: null,
    interrupted: false,
    preparing: null,
    progress: { step: 0, loss: null, validationLoss: null, learningRate: null, tokensPerSecond: null, secondsLeft: null, memoryBytes: null },
    steps: 10,
    trained: null,
    unmoved: [],
    error: null,
    createdAt: 1_700_000_000_000,
    startedAt: null,
    endedAt: null,
    ...changes,
  };
}

type Step = Extract<RunEvent, { event: 'step' }>;

/** 2 layers of 2 experts */
export function trainingStep(step: number, changes: Partial<Step> = {}): Step {
  return {
    event: 'step',
    step,
    loss: 3,
    balanceLoss: 1,
    zLoss: 0,
    learningRate: 1e-3,
    gradientNorm: 0.5,
    tokens: 200,
    targets: 150,
    fill: 0.9,
    epoch: 0,
    seconds: 0.1,
    guardian: { action: 'go-on', reason: '' },
    expertTokens: [
      [1, 2],
      [3, 0],
    ],
    unmoved: [],
    devices: null,
    memoryBytes: 1000,
    ...changes,
  };
}

/** Of 10 good rows. */
export const dataUse = (changes: Partial<DataUse> = {}): DataUse => ({
  files: [],
  rows: 10,
  good: 10,
  bad: 0,
  kinds: { conversation: 10, text: 0, preference: 0 },
  badRows: { reasons: [], listed: [] },
  warnings: [],
  duplicates: { count: 0, incomplete: false, listed: [] },
  split: { share: 0.1, seed: 1, train: 9, validation: 1 },
  cut: 0,
  leftOut: { overLong: 0, nothingToLearn: 0 },
  ...changes,
});
