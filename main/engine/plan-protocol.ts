// `plan.make`: where a model would go, its memory and speed, on this machine or on a described one (native/model/plan.cpp).
import { z } from 'zod';

const rate = z.number().min(1).max(1e18);
const bytes = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Hardware that need not be here. What is left out is measured on this machine. */
export const Rig = z.strictObject({
  /** GPUs, in the order in which layers go to them */
  devices: z
    .array(
      z.strictObject({
        id: z.string().min(1).optional(),
        memoryBytes: bytes,
        /** bytes per second from its memory */
        bandwidth: rate,
        /** operations per second in products with quantised matrices */
        flops: rate,
        /** bytes per second between it and RAM */
        linkBandwidth: rate,
      }),
    )
    .max(8)
    .optional(),
  /** that the model may take */
  ramBytes: bytes.optional(),
  ramBandwidth: rate.optional(),
  cpuFlops: rate.optional(),
  diskBandwidth: rate.optional(),
  /** what any operation costs a GPU besides; default 5e-6 */
  nodeSeconds: z.number().min(0).max(1).optional(),
});
export type Rig = z.infer<typeof Rig>;

const Limit = z.object({ resource: z.string(), tokensPerSecond: z.number() });
export const SpeedForecast = z.object({
  tokensPerSecond: z.number(),
  /** of the whole prompt; of one token of the reply */
  seconds: z.number(),
  /** the first of `limits` */
  bottleneck: z.string(),
  /** what each resource would allow if everything else were free, ascending (MoE-Lens) */
  limits: z.array(Limit),
});
export type SpeedForecast = z.infer<typeof SpeedForecast>;

/** `Options`: LoadOptions of protocol.ts, which imports this file. */
export const planParameters = <Options extends z.ZodType>(options: Options) =>
  z.strictObject({
    path: z.string().min(1),
    /** without a rig: as for model.load */
    options: options.optional(),
    rig: Rig.optional(),
    /** seek the best split over the GPUs of `options.devices` and plan that; always done with a rig */
    fold: z.boolean().optional(),
    /** recorded routing of the model; default: the .moetrace file beside it, if there is one */
    trace: z.string().min(1).optional(),
    promptTokens: z.number().int().min(1).max(16_777_216).optional(),
    replyTokens: z.number().int().min(1).max(16_777_216).optional(),
  });

const perDevice = z.record(z.string(), z.number().int());
const splitForecast = <Options extends z.ZodType>(options: Options) =>
  z.object({
    /** blocks of attention, norms and KV cache, by device, the CPU among them */
    blocks: perDevice,
    /** experts are where their block is; else an expert cache spreads them */
    whole: z.boolean(),
    /** experts of each layer that have a copy on a GPU */
    copies: perDevice,
    /** of the prompt and the reply */
    seconds: z.number(),
    prefillTokensPerSecond: z.number(),
    decodeTokensPerSecond: z.number(),
    /** the load options that make this split */
    options,
  });

export const planResult = <Options extends z.ZodType>(options: Options) =>
  z.object({
    memory: z.object({
      /** the CPU with its RAM first; bytes */
      devices: z.array(
        z.object({
          id: z.string(),
          weights: z.number(),
          experts: z.number(),
          kvCache: z.number(),
          compute: z.number(),
          need: z.number(),
          have: z.number(),
        }),
      ),
      /** RAM of the engine itself, before the model */
      engineBytes: z.number(),
    }),
    placement: z.object({
      /** runs of blocks: attention, norms, KV cache */
      blocks: z.array(z.object({ device: z.string(), first: z.number().int(), last: z.number().int() })),
      output: z.string(),
      /** experts that have room on each device, and those that have none */
      experts: z.array(z.object({ layer: z.number().int(), slots: z.record(z.string(), z.number().int()), onlyOnDisk: z.number().int() })),
    }),
    prefill: SpeedForecast,
    decode: SpeedForecast,
    promptTokens: z.number().int(),
    replyTokens: z.number().int(),
    /** how often a token of the reply finds its experts in memory; `guess`: no trace was there */
    hitRate: z.object({ rate: z.number(), source: z.enum(['all', 'trace', 'guess']), policy: z.string() }),
    hardware: z.array(
      z.object({
        id: z.string(),
        bandwidth: z.number(),
        flops: z.number(),
        linkBandwidth: z.number().nullable(),
        nodeSeconds: z.number(),
        /** false: as described */
        measured: z.boolean(),
      }),
    ),
    /** bytes per second, null: nothing is read */
    diskBandwidth: z.number().nullable(),
    /** whether the model suits offloading (arXiv 2505.16056), null without a trace */
    offloading: z
      .object({
        suitability: z.number(),
        segments: z.array(z.object({ length: z.number().int(), segmentRouting: z.number(), segmentCache: z.number() })),
        targetHitRate: z.number(),
        slots: z.number().int().nullable(),
        knee: z.number().int(),
      })
      .nullable(),
    /** attention and experts split over the devices each by itself (native/experts/plan/fold.h); null: it was not sought */
    folding: z
      .object({
        chosen: splitForecast(options),
        /** the best with the same share of attention and of experts on every device */
        coupled: splitForecast(options),
        /** seconds of `coupled` over those of `chosen`, at least 1 */
        speedup: z.number(),
        /** splits that fit */
        tried: z.number().int(),
      })
      .nullable(),
    /** load options with every default filled in; with a rig or `fold`, those of the chosen split */
    options,
  });
