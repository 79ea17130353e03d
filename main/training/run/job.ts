// A training job, as `moebius train --config` reads it, and as every run's folder has it.
import { z } from 'zod';
import { MoebiusError } from '../../contract/errors.ts';
import { TrainingPlan } from '../../contract/training-runs.ts';
import type { Recipe } from '../../engine/train-protocol.ts';

export const TrainJob = TrainingPlan.extend({
  /** GGUF of the base; default: the embedded model */
  model: z.string().min(1).optional(),
  /** of the run: encoded data, checkpoints, metrics */
  folder: z.string().min(1),
});
export type TrainJob = z.infer<typeof TrainJob>;

/** Throws request.invalid of what looks at a validation part where the job says that there is none. */
export function refuseWithoutValidation({
  data,
  validateEvery = 0,
  samples,
  expertUsedCount,
}: Pick<TrainingPlan, 'data' | 'validateEvery' | 'samples' | 'expertUsedCount'>): void {
  if (data.validation !== 0) return;
  const wanted: [string, boolean][] = [
    ['validateEvery', validateEvery > 0],
    ['expertUsedCount.validateEach', expertUsedCount?.validateEach === true],
    ['samples without prompts', samples !== undefined && samples.prompts === undefined && samples.examples !== 0],
  ];
  const [first] = wanted.flatMap(([name, is]) => (is ? [name] : []));
  if (first === undefined) return;
  const message = `The job has ${first}, which is about the validation part, and data.validation is 0: there is none. Leave ${first} out, or keep a share of the data for validation.`;
  throw new MoebiusError('request.invalid', message, { details: { parameter: first } });
}

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
