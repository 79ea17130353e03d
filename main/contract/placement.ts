// Where the experts of a loaded model are, and what decides it.
import { z } from 'zod';
import { ExpertPlacement, PlacementChange } from '../engine/protocol.ts';

const ModelId = z.strictObject({ modelId: z.string() });

export const placementMethods = {
  /** null: the model is not loaded, or all its experts are in memory like other weights */
  'placement.status': { parameters: ModelId, result: ExpertPlacement.nullable() },
  /** RAM for experts, what leaves it first, and copies on GPUs, while the model is used. Rejects with model.not-loaded, model.does-not-fit. */
  'placement.configure': {
    parameters: PlacementChange.extend({ modelId: z.string() }),
    result: ExpertPlacement,
  },
} as const;
