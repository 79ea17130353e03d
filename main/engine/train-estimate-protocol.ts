// `train.estimate`: what a run would take before it begins (native/train/estimate).
import { z } from 'zod';
import { Recipe } from './train-protocol.ts';

const bytes = z.number().int().min(0);

/** Of a run on one device. */
export const TrainMemory = z.object({
  /** of the base without routed experts, which are `experts`: all that are held, or the room that their layers have in turns */
  weights: bytes,
  experts: bytes,
  /** trained numbers, and their copies on the device */
  adapter: bytes,
  gradients: bytes,
  /** its moments */
  optimiser: bytes,
  /** to go back to */
  guardian: bytes,
  /** kept of each layer for the way back */
  layerInputs: bytes,
  /** of the largest layer and the head */
  compute: bytes,
  /** what a checkpoint needs beyond what a batch does */
  saving: bytes,
  data: bytes,
  /** for what runs beside it, as the engine that answers samples from checkpoints: the least that this needs */
  reserved: bytes,
});
export type TrainMemory = z.infer<typeof TrainMemory>;

export const TrainTime = z.object({
  stepSeconds: z.number(),
  /** of all steps, without validation, checkpoints and samples */
  seconds: z.number(),
  /** how it was found: so many layers of all computed a batch of so many tokens, forward and backward */
  measuredLayers: bytes,
  layers: bytes,
  measuredTokens: bytes,
  /** bytes a second of experts that are read from disk in turns; null: all are held */
  readBandwidth: z.number().nullable(),
});
export type TrainTime = z.infer<typeof TrainTime>;

export const TrainEstimate = z.object({
  /** memoryTotal 0: the device does not tell what it has */
  devices: z.array(TrainMemory.extend({ id: z.string(), need: bytes, memoryFree: bytes, memoryTotal: bytes })),
  need: bytes,
  have: bytes,
  fits: z.boolean(),
  /** it needs more than this: what computing takes was not measured, for the rest is too much already */
  isLeast: z.boolean(),
  /** frozen experts that are not held */
  expertsOnDisk: bytes,
  /** numbers that are trained */
  parameters: bytes,
  /** layers whose activations are kept from the forward to the backward pass; those of the others are computed again */
  keptLayers: bytes,
  /** RAM of the engine itself, besides */
  engineBytes: bytes,
  /** mean, as packing fills batches */
  tokensPerStep: z.number(),
  stepsOfEpoch: z.number(),
  steps: bytes,
  /** null: it was not asked for, or the run does not fit */
  time: TrainTime.nullable(),
});
export type TrainEstimate = z.infer<typeof TrainEstimate>;

export const trainEstimateMethods = {
  /** Rejects with what train.open rejects, but for model.does-not-fit of devices: that is `fits`. */
  'train.estimate': {
    parameters: z.strictObject({
      settings: Recipe.extend({ model: z.string().min(1), data: z.string().min(1).optional() }),
      /** in place of settings.data: how long examples are; of pairs each sequence */
      lengths: z.array(z.strictObject({ tokens: z.number().int().min(2), examples: z.number().int().min(1) })).optional(),
      /** with lengths: share of the tokens that is learnt; default: 1 */
      learnt: z.number().min(0).max(1).optional(),
      /** default: true, which computes some of a step */
      time: z.boolean().optional(),
    }),
    result: TrainEstimate,
  },
} as const;
