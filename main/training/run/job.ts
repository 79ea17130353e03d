// A training job, as `moebius train --config` reads it, and as every run's folder has it.
import { z } from 'zod';
import { TrainingPlan } from '../../contract/training-runs.ts';

export const TrainJob = TrainingPlan.extend({
  /** GGUF of the base; default: the embedded model */
  model: z.string().min(1).optional(),
  /** of the run: encoded data, checkpoints, metrics */
  folder: z.string().min(1),
});
export type TrainJob = z.infer<typeof TrainJob>;
