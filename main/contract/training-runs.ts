// Training runs: what one is to do, what happens in it, and what is left of it.
import { z } from 'zod';
import { ExportFormat, Movement, OpenedRun, PreferenceReport, Recipe, StepReport, ValidationReport } from '../engine/protocol.ts';
import { DataUse, TrainingData } from './datasets.ts';
import { ErrorBody } from './errors.ts';

const count = z.number().int().min(0);

/** Questions that every checkpoint is asked, answered greedily. */
export const SampleSettings = z.strictObject({
  /** what a user says; without any: `examples` of the validation part, of which the right answer is known */
  prompts: z.array(z.string().min(1)).max(32).optional(),
  /** of the validation part; default 3 */
  examples: z.number().int().min(0).max(32).optional(),
  /** of an answer; default 64 */
  maxTokens: z.number().int().min(1).max(4096).optional(),
});
export type SampleSettings = z.infer<typeof SampleSettings>;

/** All of a run but its base and its folder: the recipe, the data, and how often to look and to save. Without an objective: "dpo" for data that is all pairs. */
export const TrainingPlan = Recipe.extend({
  data: TrainingData,
  /** steps between two looks at the validation part; 0: only at the end */
  validateEvery: count.optional(),
  /** steps between two checkpoints; 0: only at the end */
  saveEvery: count.optional(),
  /** checkpoints that are kept, the newest ones */
  keep: z.number().int().min(1).optional(),
  /** a checkpoint before the first step, too, which is never pruned */
  saveFirst: z.boolean().optional(),
  /** none without it */
  samples: SampleSettings.optional(),
});
export type TrainingPlan = z.infer<typeof TrainingPlan>;

/** A question and a checkpoint's answer to it. */
export const TrainingSample = z.object({
  step: count,
  /** of the questions of this run */
  index: count,
  prompt: z.string(),
  /** the right answer, where the question is an example's */
  expected: z.string().nullable(),
  answer: z.string(),
  /** why there is no answer; `answer` is empty then */
  problem: ErrorBody.nullable(),
});
export type TrainingSample = z.infer<typeof TrainingSample>;

/** What is done before a run can be opened, and how far it is, 0 to 1: its data is encoded, its experts are chosen by what the data uses. */
export const Preparation = z.object({ what: z.enum(['data', 'experts']), fraction: z.number() });
export type Preparation = z.infer<typeof Preparation>;

/** What happens in a run, in order; a line of its metrics.jsonl, samples of samples.jsonl, and preparations are not written down. */
export const RunEvent = z.discriminatedUnion('event', [
  Preparation.extend({ event: z.literal('preparing') }),
  /** of the encoded data that the run reads, also when it was encoded before */
  DataUse.extend({ event: z.literal('data') }),
  OpenedRun.omit({ run: true }).extend({ event: z.literal('opened'), resumed: z.string().nullable() }),
  /** memoryBytes: of the trainer's process; null where the system does not tell */
  StepReport.extend({ event: z.literal('step'), memoryBytes: count.nullable() }),
  ValidationReport.extend({ event: z.literal('validation'), step: count }),
  z.object({ event: z.literal('saved'), step: count, path: z.string() }),
  Movement.extend({ event: z.literal('movement'), step: count }),
  TrainingSample.extend({ event: z.literal('sample') }),
  z.object({ event: z.literal('ended'), step: count, seconds: z.number() }),
]);
export type RunEvent = z.infer<typeof RunEvent>;

/**
 * queued -> preparing -> running -> done
 * `pausing`: the step under way is given up and what was done is saved. A paused run waits to be resumed; a stopped one is over for its user, and can be resumed as well,
 * like a failed one: each goes on from its newest checkpoint.
 */
export const RunState = z.enum(['queued', 'preparing', 'running', 'pausing', 'paused', 'stopped', 'done', 'failed']);
export type RunState = z.infer<typeof RunState>;

/** The newest figures. */
export const RunProgress = z.object({
  step: count,
  loss: z.number().nullable(),
  validationLoss: z.number().nullable(),
  learningRate: z.number().nullable(),
  tokensPerSecond: z.number().nullable(),
  /** until its last step, as fast as the last ones were; null: not known yet, or not running */
  secondsLeft: z.number().nullable(),
  memoryBytes: count.nullable(),
});
export type RunProgress = z.infer<typeof RunProgress>;

export const TrainingRun = z.object({
  id: z.string(),
  name: z.string(),
  /** of the library, when it was made; the base may have gone since */
  modelId: z.string(),
  modelPath: z.string(),
  /** job.json, data/, checkpoints/, metrics.jsonl, samples.jsonl */
  folder: z.string(),
  plan: TrainingPlan,
  state: RunState,
  /** of queued runs the one with the least is next; null: it is not queued */
  queuePlace: count.nullable(),
  /** paused because the app ended while it was at work */
  interrupted: z.boolean(),
  /** null unless preparing */
  preparing: Preparation.nullable(),
  progress: RunProgress,
  steps: count,
  /** what is trained; null: it was never opened */
  trained: z.object({ parameters: count, tensors: count, optimiserBytes: count, examples: count, validates: z.boolean() }).nullable(),
  /** what should have moved at the first step and did not */
  unmoved: StepReport.shape.unmoved,
  /** why it failed */
  error: ErrorBody.nullable(),
  createdAt: z.number(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
});
export type TrainingRun = z.infer<typeof TrainingRun>;

/** One step, or several that follow each other: the means of their numbers, then, and the last step's number. */
export const MetricPoint = z.object({
  step: count,
  /** how many steps are in it */
  steps: count,
  loss: z.number().nullable(),
  /** of the steps in it */
  lossLeast: z.number().nullable(),
  lossMost: z.number().nullable(),
  balanceLoss: z.number().nullable(),
  zLoss: z.number().nullable(),
  learningRate: z.number(),
  gradientNorm: z.number().nullable(),
  tokensPerSecond: z.number(),
  memoryBytes: count.nullable(),
  /** null: not of the objective "dpo" */
  preference: PreferenceReport.nullable(),
});
export type MetricPoint = z.infer<typeof MetricPoint>;

/** Steps that were done twice, behind a kill, are there once. */
export const RunMetrics = z.object({
  id: z.string(),
  /** what became of the rows; null: the data was not encoded yet */
  data: DataUse.nullable(),
  points: z.array(MetricPoint),
  validations: z.array(ValidationReport.omit({ seconds: true }).extend({ step: count, preference: PreferenceReport.nullable() })),
  saved: z.array(count),
  /** steps that the guardian did not let pass, or said something of (go-on) */
  interventions: z.array(z.object({ step: count, action: z.enum(['go-on', 'skip', 'roll-back']), reason: z.string() })),
  /** [layers][experts], tokens of all steps and of the last one */
  expertTokens: z.object({ total: z.array(z.array(count)), last: z.array(z.array(count)) }).nullable(),
  /** the newest */
  movement: Movement.extend({ step: count }).nullable(),
});
export type RunMetrics = z.infer<typeof RunMetrics>;

export const RunCheckpoint = z.object({
  step: count,
  path: z.string(),
  bytes: count,
  savedAt: z.number(),
  /** at this very step */
  validationLoss: z.number().nullable(),
  samples: z.array(TrainingSample),
});
export type RunCheckpoint = z.infer<typeof RunCheckpoint>;

export const CheckpointExport = z.strictObject({
  id: z.string(),
  step: count,
  format: ExportFormat,
  /** absolute: a file; of peft a folder */
  path: z.string().min(1),
  /** of numbers: adapter f32 or f16, merged "same", "f32", "q8_0" ... */
  type: z.string().min(1).optional(),
  /** what PEFT loads the base by */
  baseName: z.string().optional(),
  /** leave out whole tensors, which only merged files hold */
  pairsOnly: z.boolean().optional(),
});
export type CheckpointExport = z.infer<typeof CheckpointExport>;

/** Mean loss (natural log) of the tokens that were predicted, and e to it. */
export const Perplexity = z.object({ loss: z.number(), perplexity: z.number(), targets: count, seconds: z.number() });
export type Perplexity = z.infer<typeof Perplexity>;
