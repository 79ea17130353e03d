// Where the experts of a loaded model are, and what decides it.
import { z } from 'zod';
import { ChoiceResult, ExpertPlacement, ExpertPolicyChoice, PlacementChange, SlotAllocation } from '../engine/protocol.ts';

/** What was asked for. */
export const CacheModes = z.object({ policy: ExpertPolicyChoice, slotAllocation: SlotAllocation });
export type CacheModes = z.infer<typeof CacheModes>;
/** What the model's own routing spoke for, and the figures. */
export const CacheChoice = ChoiceResult.omit({ slots: true });
export type CacheChoice = z.infer<typeof CacheChoice>;

export const Placement = ExpertPlacement.extend({
  modes: CacheModes,
  /** null: not chosen (yet): `modes` say all, or there is too little recorded routing */
  choice: CacheChoice.nullable(),
});
export type Placement = z.infer<typeof Placement>;

const ModelId = z.strictObject({ modelId: z.string() });

export const placementMethods = {
  /** null: the model is not loaded, or all its experts are in memory like other weights */
  'placement.status': { parameters: ModelId, result: Placement.nullable() },
  /**
   * RAM for experts, which layers get it, what leaves it first, whether it is filled ahead, and copies on GPUs, while the model is used. Rejects with
   * model.not-loaded, model.does-not-fit.
   */
  'placement.configure': {
    parameters: PlacementChange.extend({ modelId: z.string(), policy: ExpertPolicyChoice.optional(), slotAllocation: SlotAllocation.optional() }),
    result: Placement,
  },
} as const;
