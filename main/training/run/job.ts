// A training job, as `moebius train --config` reads it, and as every run's folder has it.
import { z } from 'zod';
import { TrainingPlan } from '../../contract/training-runs.ts';
import type { Recipe } from '../../engine/train-protocol.ts';

export const TrainJob = TrainingPlan.extend({
  /** GGUF of the base; default: the embedded model */
  model: z.string().min(1).optional(),
  /** of the run: encoded data, checkpoints, metrics */
  folder: z.string().min(1),
});
export type TrainJob = z.infer<typeof TrainJob>;

/** What the engine is told of it. */
export function recipeOf(plan: TrainingPlan | TrainJob): Recipe {
  const {
    data: _data,
    folder: _folder,
    model: _model,
    validateEvery: _every,
    saveEvery: _save,
    saveFirst: _first,
    keep: _keep,
    samples: _samples,
    ...recipe
  } = { folder: '', model: '', ...plan };
  return recipe;
}
