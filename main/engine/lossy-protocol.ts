// The modes that trade accuracy for reads of experts from disk: native/experts/lossy. Off by default; every use is counted.
import { z } from 'zod';

/** Bits of the copies: about 4.5, 3.4 and 2.6 a weight. */
export const LowPrecisionType = z.enum(['q4_0', 'q3_k', 'q2_k']);
export type LowPrecisionType = z.infer<typeof LowPrecisionType>;

/**
 * Both change the answers. An expert's unimportance to a token is the share of the token's gate weights that rank above it: 0 for its first expert, less than 1 for the
 * last.
 */
export const LossyExperts = z.strictObject({
  /** an expert that would have to be read, and is less important than that, is computed from a copy in fewer bits; the copies are made once, in the background */
  lowPrecision: z
    .strictObject({
      type: LowPrecisionType.optional(),
      /** unimportance; 1: never */
      above: z.number().min(0).max(1),
      /** of the RAM for experts, for copies; default 0.2 */
      ramShare: z.number().min(0.01).max(0.9).optional(),
    })
    .optional(),
  /** an expert that would have to be read is left out, as far as a calibration of the model (`experts.calibrate`) says that the harm stays within the budget */
  skip: z
    .strictObject({
      /** mean KL divergence of the next-token distribution, nats per token, if all were left out that may be, read or not */
      budget: z.number().min(0).max(10),
    })
    .optional(),
});
export type LossyExperts = z.infer<typeof LossyExperts>;

/** Assignments: an expert of a token in a layer. */
export const LossyUses = z.object({ assignments: z.number(), lowPrecision: z.number(), skipped: z.number() });
export type LossyUses = z.infer<typeof LossyUses>;

const LossyCounters = LossyUses.extend({
  /** of experts in full precision; what was read in fewer bits instead is `lowPrecisionCopies.bytesRead` */
  bytesNotRead: z.number(),
});

/** Since the model was loaded, in batches that ran with these modes. */
export const LossyStatus = LossyCounters.extend({
  lowPrecisionCopies: z
    .object({
      type: LowPrecisionType,
      above: z.number(),
      ramShare: z.number(),
      /** `writing`: experts are still read in full */
      state: z.enum(['off', 'writing', 'ready', 'failed']),
      /** share of the file */
      written: z.number(),
      problem: z.string().nullable(),
      file: z.string(),
      ramBytes: z.number(),
      bytesRead: z.number(),
    })
    .nullable(),
  /** above: thresholds of unimportance, of each layer */
  skip: z.object({ budget: z.number().nullable(), above: z.array(z.number()) }).nullable(),
  /** block index */
  layers: z.array(LossyCounters.extend({ layer: z.number().int() })),
});
export type LossyStatus = z.infer<typeof LossyStatus>;

/** What `experts.calibrate` measured, and keeps beside the model: native/experts/lossy/sensitivity.h. */
export const Calibration = z.object({
  path: z.string(),
  tokens: z.number(),
  layers: z.array(
    z.object({
      layer: z.number().int(),
      /** of leaving out, in this layer alone, all experts less important than `above`: nats per token, and share of the layer's assignments */
      steps: z.array(z.object({ above: z.number(), harm: z.number(), skipped: z.number() })),
    }),
  ),
  /** what budgets came to on text that was not measured on */
  checks: z.array(z.object({ budget: z.number(), harm: z.number(), skipped: z.number() })),
});
export type Calibration = z.infer<typeof Calibration>;
