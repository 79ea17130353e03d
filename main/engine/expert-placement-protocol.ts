// Experts in RAM, on disk and on GPUs, as `experts.status` tells and `experts.configure` changes it: native/experts/README.md.
import { z } from 'zod';
import { ExpertDeviceBudget, ExpertDevices, ReplicaPrecision } from './expert-devices-protocol.ts';
import { LossyExperts, LossyStatus } from './lossy-protocol.ts';
import { ExpertPolicy } from './replay-protocol.ts';

/** `auto`: the one that reads least on the model's own recorded routing; `score` until there is some */
export const ExpertPolicyChoice = z.enum([...ExpertPolicy.options, 'auto']);
export type ExpertPolicyChoice = z.infer<typeof ExpertPolicyChoice>;
/** How the slots are shared out among the layers: native/experts/policy/slot-allocation.h. `auto` and `marginal` need recorded routing, and are `uniform` until there is some. */
export const SlotAllocation = z.enum(['uniform', 'marginal', 'shallow', 'auto']);
export type SlotAllocation = z.infer<typeof SlotAllocation>;

/** Whether experts on disk are read before they are asked for: `auto` as far as it pays, by what it saved so far. */
export const ExpertPrefetch = z.enum(['auto', 'off']);
export type ExpertPrefetch = z.infer<typeof ExpertPrefetch>;

const ExpertCounters = z.object({
  /** uses of an expert by a batch: it was in RAM, on its way, on disk */
  hits: z.number(),
  late: z.number(),
  misses: z.number(),
  /** threads did nothing but wait for the disk, summed over them */
  stalledMilliseconds: z.number(),
});
const PrefetchCounters = z.object({
  /** experts that batches used for which the predictor had named some */
  uses: z.number(),
  /** of them, among as many as were used that it held most probable: right / uses is its recall */
  right: z.number(),
  /** experts read ahead, and what came of it: used in time, used while still on their way, not used by the batch that they were read for */
  read: z.number(),
  used: z.number(),
  late: z.number(),
  wasted: z.number(),
  /** not read after all: the batch was there before the disk had begun with them, and did without */
  withdrawn: z.number(),
});
export const ExpertPredictor = PrefetchCounters.extend({
  /**
   * `router`: the next layer's router on this layer's hidden state; `tokens`: where the batch's tokens went before; `history`: what followed the last
   * experts; `round` (of a ring): whole layers, while batches use nearly all of each
   */
  name: z.enum(['router', 'tokens', 'history', 'round']),
  /** layers ahead that it is asked for now; 0: switched off, because it did not pay, or by the mode */
  depth: z.number().int(),
  /** probability from which an expert is read */
  leastProbability: z.number(),
  /** estimated: by how much waits for the disk became shorter, and longer; null: not estimated */
  savedMilliseconds: z.number().nullable(),
  lostMilliseconds: z.number().nullable(),
  layers: z.array(PrefetchCounters.extend({ layer: z.number().int() })),
});
export type ExpertPredictor = z.infer<typeof ExpertPredictor>;

/** An expert whose output has massive values, which later layers need: native/experts/policy/super-experts.h. */
export const SuperExpert = z.strictObject({
  /** block index */
  layer: z.number().int(),
  expert: z.number().int(),
  /** the largest magnitude of its output so far */
  peak: z.number(),
});
export type SuperExpert = z.infer<typeof SuperExpert>;

/** Routed experts that are read from disk when they are needed; counters since the model was loaded. */
export const ExpertStore = ExpertCounters.extend({
  /** slots of each layer, or a ring that the layers take in turn */
  storage: z.enum(['slots', 'ring']),
  /** `ring` in a ring, which has no choice */
  policy: z.string(),
  /** of all slots, and the least and the most that they can have */
  ramBytes: z.number(),
  ramBytesLeast: z.number(),
  ramBytesMost: z.number(),
  /** of all experts */
  diskBytes: z.number(),
  prefetch: z.object({
    mode: ExpertPrefetch,
    /** one thread's time for predictions, beside the computation of layers */
    computeMilliseconds: z.number(),
    predictors: z.array(ExpertPredictor),
  }),
  bytesRead: z.number(),
  /** of them, what arrived before a thread had to wait for it */
  bytesHidden: z.number(),
  /** the layout file that they are read from; null: the model itself */
  layoutFile: z.string().nullable(),
  layers: z.array(
    ExpertCounters.extend({
      /** block index */
      layer: z.number().int(),
      /** experts that have room in RAM */
      slots: z.number().int(),
      /** one letter for each expert: `d`isk, `m`oving to RAM, in `r`AM */
      tiers: z.string(),
    }),
  ),
  /** null: no mode that changes answers is on, nor was since the load */
  lossy: LossyStatus.nullable(),
  /** null: too few experts were seen to tell; `protected`: never evicted */
  superExperts: z.array(SuperExpert.extend({ protected: z.boolean() })).nullable(),
});
export type ExpertStore = z.infer<typeof ExpertStore>;

/** What `experts.writeLayout` made. */
export const LayoutWritten = z.object({
  path: z.string(),
  bytes: z.number(),
  /** with a trace: pieces per token and layer in which the experts of its second half lie, by number and in the order learnt from the first half */
  gain: z.object({ tokens: z.number(), expertsPerToken: z.number(), piecesByIndex: z.number(), pieces: z.number() }).nullable(),
});
export type LayoutWritten = z.infer<typeof LayoutWritten>;

/** Of a model with an expert cache; devices: null without copies on GPUs. */
export const ExpertPlacement = z.object({ store: ExpertStore, devices: ExpertDevices.nullable() });
export type ExpertPlacement = z.infer<typeof ExpertPlacement>;

/** What can change while the model is used; what is left out stays. */
export const PlacementChange = z.strictObject({
  ramBytes: z.number().int().min(1).optional(),
  policy: ExpertPolicy.optional(),
  prefetch: ExpertPrefetch.optional(),
  /** instead of what was on; {}: off */
  lossyExperts: LossyExperts.optional(),
  /** other budgets; devices that are not named keep theirs */
  devices: z.array(ExpertDeviceBudget).max(8).optional(),
  replication: z.boolean().optional(),
  cpuHelps: z.boolean().optional(),
  fetching: z.boolean().optional(),
  /** lossy; share 0: off */
  replicaPrecision: ReplicaPrecision.optional(),
});
export type PlacementChange = z.infer<typeof PlacementChange>;
