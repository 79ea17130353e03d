// `experts.replay`: recorded routing through the cache policies of the engine (native/experts/simulate).
import { z } from 'zod';

/** Which expert leaves when another needs its slot: native/experts/policy. */
export const ExpertPolicy = z.enum(['lru', 'lfu', 'lfru', 'score', 'least-stale', 'lrfu', 'foresight']);
export type ExpertPolicy = z.infer<typeof ExpertPolicy>;

export const ReplayParameters = z
  .strictObject({
    /** a trace file: main/experts/trace-format.md */
    path: z.string().min(1),
    /** tokens per batch of a prompt; default 512. Replies are one token a batch. */
    promptBatch: z.number().int().min(1).max(16384).optional(),
    /** in every layer */
    slots: z.number().int().min(1).max(1024).optional(),
    /** times the experts that a token uses, in every layer */
    slotsFactor: z.number().min(0).max(1024).optional(),
    /** of all layers */
    totalSlots: z.number().int().min(1).max(524_288).optional(),
    /** of each layer */
    layerSlots: z.array(z.number().int().min(1).max(1024)).optional(),
    /** names of ExpertPolicy, `belady`, `lookahead-N`; default: all, `lookahead-1` and `belady` */
    policies: z.array(z.string()).optional(),
    /** how the slots are shared out among the layers; default uniform */
    allocation: z.enum(['uniform', 'marginal', 'shallow']).optional(),
    /** policies that foresee are replayed once more with reads ahead of need: `most` experts a layer and batch (default: as many as a token uses) */
    readAhead: z
      .strictObject({
        most: z.number().int().min(1).max(1024).optional(),
        /** the least probability that is read for */
        least: z.number().min(0).max(1).optional(),
        /** and how many times that of the resident that leaves */
        margin: z.number().min(1).max(1000).optional(),
      })
      .optional(),
    bytesPerExpert: z.number().min(0).max(1e12).optional(),
    /** that slots are recommended for; default 0.9 */
    targetHitRate: z.number().min(0).max(1).optional(),
  })
  .refine(
    (p) => [p.slots, p.slotsFactor, p.totalSlots, p.layerSlots].filter((x) => x !== undefined).length === 1,
    'exactly one of slots, slotsFactor, totalSlots, layerSlots',
  );
export type ReplayParameters = z.infer<typeof ReplayParameters>;

/** Uses are counted once per batch, layer and expert, as in ExpertStore. */
export const ReplayFigures = z.object({
  uses: z.number(),
  hits: z.number(),
  misses: z.number(),
  /** read ahead of need; a hit if the batch used it, and that many of them were `useful` */
  prefetched: z.number(),
  useful: z.number(),
  /** 0..1 */
  hitRate: z.number(),
});
export type ReplayFigures = z.infer<typeof ReplayFigures>;

export const PolicyReplay = ReplayFigures.extend({
  policy: z.string(),
  /** experts a layer and batch, 0: on demand only */
  readAhead: z.number().int(),
  /** [layer] */
  slots: z.array(z.number().int()),
  /** experts read per token, over all layers */
  readsPerToken: z.number(),
  /** null without bytesPerExpert */
  bytesPerToken: z.number().nullable(),
  /** [layer] */
  layers: z.array(ReplayFigures),
});
export type PolicyReplay = z.infer<typeof PolicyReplay>;

export const ReplayResult = z.object({
  model: z.string(),
  moeLayers: z.array(z.number().int()),
  expertCount: z.number().int(),
  expertUsedCount: z.number().int(),
  tokens: z.number(),
  batches: z.number(),
  /** false: the file ends in a cut or damaged record, which was left out */
  whole: z.boolean(),
  allocation: z.string(),
  policies: z.array(PolicyReplay),
  /** of ExpertPolicy, on demand, with as many slots in every layer */
  best: z.string(),
  /** arXiv 2505.16056 as native/experts/simulate/consistency.h defines it, with groups of `factor` times the experts of a token */
  consistency: z.object({
    factor: z.number(),
    segments: z.array(z.object({ length: z.number().int(), segmentRouting: z.number(), segmentCache: z.number() })),
    /** 0: a cache does no better than chance; 1: it always hits */
    suitability: z.number(),
  }),
  advice: z.object({
    policy: z.string(),
    targetHitRate: z.number(),
    /** fewest slots a layer that reach the target; null: none do */
    slots: z.number().int().nullable(),
    /** from here on another slot brings less than on the average */
    knee: z.number().int(),
    curve: z.array(z.object({ slots: z.number().int(), hitRate: z.number() })),
  }),
});
export type ReplayResult = z.infer<typeof ReplayResult>;

/** `experts.choose`: native/experts/simulate/cache-choice.h. */
export const ChoiceParameters = z.strictObject({
  /** a trace file */
  path: z.string().min(1),
  totalSlots: z.number().int().min(1).max(524_288),
  promptBatch: z.number().int().min(1).max(16384).optional(),
  /** the policy, or `auto` (default): the one with the fewest reads */
  policy: z.string().optional(),
  /** how slots are shared out, or `auto` (default): as reads least on the newer half of the trace, learnt from the older */
  slotAllocation: z.enum(['uniform', 'marginal', 'shallow', 'auto']).optional(),
});
export const ChoiceResult = z.object({
  policy: ExpertPolicy,
  slotAllocation: z.enum(['uniform', 'marginal', 'shallow']),
  /** [layer] */
  slots: z.array(z.number().int()),
  /** of the trace */
  tokens: z.number(),
  /** of the choice on the newer half; the same with as many slots in every layer */
  hitRate: z.number(),
  uniformHitRate: z.number(),
  /** every policy on the whole trace, with as many slots in every layer */
  policies: z.array(z.object({ policy: z.string(), hitRate: z.number(), readsPerToken: z.number() })),
});
export type ChoiceResult = z.infer<typeof ChoiceResult>;
