// Copies of experts on GPUs, as `experts.status` tells and `experts.configure` changes them: native/experts/README.md, "Several devices".
import { z } from 'zod';

/** A GPU that holds copies of experts, in at most so many bytes of its memory; 0: none. */
export const ExpertDeviceBudget = z.strictObject({ id: z.string().min(1), bytes: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER) });
export type ExpertDeviceBudget = z.infer<typeof ExpertDeviceBudget>;

/**
 * Lossy: GPUs hold the least important experts of a layer, at most this share of them, in fewer bits, and have room for more copies of busy ones (Replicate-and-Quantize). Which ones and
 * how many is decided after some hundred tokens, layer by layer: none where nothing is gained.
 */
export const ReplicaPrecision = z.strictObject({ type: z.enum(['q4_0', 'q3_k', 'q2_k']), share: z.number().min(0).max(1) });
export type ReplicaPrecision = z.infer<typeof ReplicaPrecision>;

/** Milliseconds: what a batch in a layer costs at all, what every expert adds, and what every token of an expert adds; measured. */
const BatchCost = z.object({ fixed: z.number(), perExpert: z.number(), perToken: z.number() });

/** Counters since the model was loaded. */
export const ExpertDevices = z.object({
  /** copies follow the load */
  replication: z.boolean(),
  /** the CPU takes experts over from a device that would end later than it */
  cpuHelps: z.boolean(),
  /** devices copy experts that they lack for one batch, where its layer ends earlier by that */
  fetching: z.boolean(),
  /** null: off; `calibratedLayers`: those for which it is decided */
  replicaPrecision: ReplicaPrecision.extend({ calibratedLayers: z.number().int() }).nullable(),
  /** copies that are wanted and not there yet */
  moving: z.number().int(),
  /** of the last copy that could not be made */
  error: z.string().nullable(),
  /** tokens of experts that the CPU computed: one for each token and expert */
  cpuTokens: z.number(),
  cpuCost: BatchCost,
  /** a copy of every expert */
  bytesMost: z.number(),
  devices: z.array(
    z.object({
      id: z.string(),
      /** it failed; the others compute what it had to */
      lost: z.boolean(),
      budgetBytes: z.number(),
      /** taken by slots */
      bytes: z.number(),
      /** as cpuTokens */
      tokens: z.number(),
      /** of them those with experts in low precision, since that was switched on last */
      lowTokens: z.number(),
      /** experts that were copied there while the model was used, and their bytes */
      copied: z.number(),
      bytesCopied: z.number(),
      /** experts that were copied there for one batch, and their bytes */
      fetched: z.number(),
      bytesFetched: z.number(),
      /** what a token's hidden state takes there and back; measured. Of devices that are equally good otherwise the one that is nearest gets a copy, and tokens */
      rowMilliseconds: z.number(),
      cost: BatchCost,
    }),
  ),
  layers: z.array(
    z.object({
      /** block index */
      layer: z.number().int(),
      /** of each device */
      slots: z.array(z.number().int()),
      /** two hexadecimal digits an expert: a bit for each device that holds a copy */
      copies: z.string(),
      /** the same of copies in low precision; empty: off */
      lowCopies: z.string(),
      totalMilliseconds: z.number(),
      /** of each device and, last, the CPU */
      busyMilliseconds: z.array(z.number()),
    }),
  ),
});
export type ExpertDevices = z.infer<typeof ExpertDevices>;
