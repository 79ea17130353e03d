// Where the experts of a loaded model are, and what decides it.
import { z } from 'zod';
import { ExpertPolicy, ExpertPrefetch, ExpertStore } from '../engine/protocol.ts';

const ModelId = z.strictObject({ modelId: z.string() });

export const placementMethods = {
  /** null: the model is not loaded, or all its experts are in memory like other weights */
  'placement.status': { parameters: ModelId, result: ExpertStore.nullable() },
  /** RAM for experts, what leaves it first, whether it is filled ahead, while the model is used. Rejects with model.not-loaded, model.does-not-fit. */
  'placement.configure': {
    parameters: ModelId.extend({ ramBytes: z.number().int().min(1).optional(), policy: ExpertPolicy.optional(), prefetch: ExpertPrefetch.optional() }),
    result: ExpertStore,
  },
} as const;
