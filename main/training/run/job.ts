// A training job, as `moebius train --config` reads it: data, recipe, and how often to look and to save.
import { z } from 'zod';
import { Recipe } from '../../engine/train-protocol.ts';
import { OVER_LONG } from '../data/encoded/format.ts';
import { LOSSES } from '../data/encoder.ts';
import { FieldMap, Format } from '../data/formats/format.ts';

export const TrainJob = Recipe.extend({
  /** GGUF of the base; default: the embedded model */
  model: z.string().min(1).optional(),
  data: z.strictObject({
    files: z.array(z.string().min(1)).min(1),
    format: Format.optional(),
    map: FieldMap.optional(),
    loss: z.enum(LOSSES).optional(),
    /** share of the examples */
    validation: z.number().min(0).lt(1).optional(),
    /** of the split */
    seed: z.number().int().min(0).optional(),
    maxTokens: z.number().int().min(2).optional(),
    overLong: z.enum(OVER_LONG).optional(),
  }),
  /** of the run: encoded data, checkpoints, metrics */
  folder: z.string().min(1),
  /** steps between two looks at the validation part; 0: only at the end */
  validateEvery: z.number().int().min(0).optional(),
  /** steps between two checkpoints; 0: only at the end */
  saveEvery: z.number().int().min(0).optional(),
  /** checkpoints that are kept, the newest ones */
  keep: z.number().int().min(1).optional(),
  /** a checkpoint before the first step, too, which is never pruned */
  saveFirst: z.boolean().optional(),
});
export type TrainJob = z.infer<typeof TrainJob>;
