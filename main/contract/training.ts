// Fine-tuning, as the UI sees it: datasets looked at, runs in a queue of which one trains at a time, their figures, checkpoints and exports.
import { z } from 'zod';
import { TrainEstimate } from '../engine/protocol.ts';
import { DatasetReport, TrainingData } from './datasets.ts';
import {
  CheckpointExport,
  Perplexity,
  RunCheckpoint,
  RunEvent,
  RunMetrics,
  SampleSettings,
  TrainingPlan,
  TrainingRun,
  TrainingSample,
} from './training-runs.ts';

const count = z.number().int().min(0);
const Id = z.strictObject({ id: z.string() });
const Checkpoint = Id.extend({ step: count });
/** of whoever asks: it has one question at a time, and a further one with the same ticket cancels it */
const Ticket = z.strictObject({ ticket: z.string().min(1).max(100) });
const Ok = z.object({});

/** A run to be: with the files' paths absolute. */
export const TrainingDraft = z.strictObject({
  /** default: of its data and its base */
  name: z.string().trim().min(1).max(200).optional(),
  /** of the library */
  modelId: z.string().min(1),
  plan: TrainingPlan,
});
export type TrainingDraft = z.infer<typeof TrainingDraft>;

/** A plan to begin with, for a model and data of this size. */
export const TrainingRecipe = z.object({
  id: z.string(),
  name: z.string(),
  /** what it is good for, a sentence */
  note: z.string(),
  /** without `data` */
  plan: TrainingPlan.omit({ data: true }),
});
export type TrainingRecipe = z.infer<typeof TrainingRecipe>;

/** A setting in which runs differ; values[i]: of the i-th run, null where it says nothing. */
export const SettingDifference = z.object({ setting: z.string(), values: z.array(z.json()) });
export type SettingDifference = z.infer<typeof SettingDifference>;

export const trainingMethods = {
  /**
   * Reads the whole dataset: format, bad rows with their lines, duplicates, lengths in tokens of the model, examples as it sees them. Rejects with dataset.format-unsure
   * (`UnsureFormat` are its details), file.*, model.*.
   */
  'training.preview': {
    parameters: Ticket.extend({ data: TrainingData, modelId: z.string().min(1), previews: z.number().int().min(0).max(20).default(3) }),
    result: DatasetReport,
  },
  /** recipes for a model, the recommended one first; `tokens` of the training examples, as previewed */
  'training.recipes': {
    parameters: z.strictObject({ modelId: z.string().min(1), examples: count.optional(), tokens: count.optional(), longest: count.optional() }),
    result: z.array(TrainingRecipe),
  },
  /**
   * Memory and time of a run to be: of data that was looked at, as its preview says, by the lengths of its examples. `time` computes some of a step, which takes a while. Rejects as training.create does,
   * with model.does-not-fit if the room that the plan gives experts is too small by itself; else `fits` says it.
   */
  'training.estimate': {
    parameters: Ticket.extend({
      modelId: z.string().min(1),
      plan: TrainingPlan,
      report: DatasetReport.pick({ good: true, kinds: true, split: true, tokens: true }),
      time: z.boolean().default(false),
    }),
    result: TrainEstimate,
  },
  /** Puts a run at the end of the queue. Rejects with model.*, file.*, request.invalid. */
  'training.create': { parameters: TrainingDraft, result: TrainingRun },
  /** the newest first */
  'training.list': { parameters: z.strictObject({}), result: z.array(TrainingRun) },
  'training.get': { parameters: Id, result: TrainingRun },
  'training.rename': { parameters: Id.extend({ name: z.string().trim().min(1).max(200) }), result: TrainingRun },
  /** Resolves when what was done is saved; the next one in the queue begins. A queued run is taken out of the queue. */
  'training.pause': { parameters: Id, result: TrainingRun },
  /** Puts a paused, stopped or failed run at the end of the queue. */
  'training.resume': { parameters: Id, result: TrainingRun },
  /** As pause, for good. */
  'training.stop': { parameters: Id, result: TrainingRun },
  /** The ids of all queued runs in the order in which they are to train. */
  'training.reorder': { parameters: z.strictObject({ ids: z.array(z.string()) }), result: z.array(TrainingRun) },
  /** With its folder; ask first. One at work is stopped. */
  'training.delete': { parameters: Id, result: Ok },
  'training.metrics': { parameters: Id.extend({ points: z.number().int().min(2).max(10_000).default(1000) }), result: RunMetrics },
  /** Figures of several runs, and the settings in which they differ. */
  'training.compare': {
    parameters: z.strictObject({ ids: z.array(z.string()).min(2).max(8), points: z.number().int().min(2).max(10_000).default(500) }),
    result: z.object({ runs: z.array(TrainingRun), metrics: z.array(RunMetrics), differences: z.array(SettingDifference) }),
  },
  /** the newest first */
  'training.checkpoints': { parameters: Id, result: z.array(RunCheckpoint) },
  /** Asks a checkpoint now; without prompts, what its run asks; maxTokens of each answer: as the run, unless told. */
  'training.sample': {
    parameters: Checkpoint.extend({
      prompts: z.array(z.string().min(1)).min(1).max(32).optional(),
      maxTokens: SampleSettings.shape.maxTokens,
      ...Ticket.shape,
    }),
    result: z.array(TrainingSample),
  },
  /**
   * One question to a checkpoint, the most probable tokens, which stream as `training.answer`. Where no adapter file holds what was trained a merged model is made, as large as the base, and kept
   * for the next question until `training.release`, or another checkpoint that needs one.
   */
  'training.ask': {
    parameters: Checkpoint.extend({ question: z.string().min(1), maxTokens: SampleSettings.shape.maxTokens, ...Ticket.shape }),
    result: z.object({ text: z.string(), tokensPerSecond: z.number() }),
  },
  'training.release': { parameters: Checkpoint, result: Ok },
  /** Writes files of a checkpoint. Rejects with disk.full, file.unwritable, request.invalid (what a format cannot hold). */
  'training.export': { parameters: CheckpointExport.extend(Ticket.shape), result: z.object({ path: z.string(), bytes: count }) },
  /** The run's adapter of this step as a LoRA GGUF in its folder, to chat with and without it: made at the first call. */
  'training.adapter': { parameters: Checkpoint.extend(Ticket.shape), result: z.object({ path: z.string(), bytes: count }) },
  /** Perplexity on the run's validation part, of the base and of a checkpoint. Kept: asked again it is there at once. */
  'training.evaluate': { parameters: Checkpoint.extend(Ticket.shape), result: z.object({ base: Perplexity, tuned: Perplexity }) },
  /** Gives up what this ticket asked for: it rejects with `cancelled`. */
  'training.cancel': { parameters: Ticket, result: Ok },
} as const;

export const trainingEvents = {
  /** the whole run, whenever anything of it changes (a few times a second while it is at work) */
  'training.changed': TrainingRun,
  'training.removed': Id,
  /** what happens in a run, as it happens */
  'training.event': z.object({ id: z.string(), event: RunEvent }),
  /** of training.ask, as it comes */
  'training.answer': Ticket.extend({ text: z.string() }),
  /** of preview, sample, ask, export, adapter and evaluate: 0 to 1, a few times a second */
  'training.progress': Ticket.extend({ fraction: z.number() }),
} as const;
