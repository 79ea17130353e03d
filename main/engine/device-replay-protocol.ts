// `experts.replayDevices`: load of experts on a described rig, through the replication of the engine and its baselines (native/experts/simulate).
import { z } from 'zod';

export const RebalancerName = z.enum([
  'static',
  'eplb',
  'eplb-split',
  'flexmoe',
  'swiftmoe',
  'adaptive-apart',
  'adaptive-anywhere',
  'adaptive',
  'replicate-quantize',
]);

export const DeviceReplayParameters = z
  .strictObject({
    /** a trace file: main/experts/trace-format.md */
    path: z.string().min(1).optional(),
    /** instead: tokens that choose experts by a Zipf law which drifts and, every `topic` batches, is dealt anew */
    synthetic: z
      .strictObject({
        layers: z.number().int().min(1).optional(),
        experts: z.number().int().min(1).optional(),
        used: z.number().int().min(1).optional(),
        batches: z.number().int().min(1).max(10_000).optional(),
        /** exponent of the Zipf law */
        skew: z.number().min(0).max(4).optional(),
        /** standard deviation of the step of an expert's log popularity, per batch */
        drift: z.number().min(0).max(4).optional(),
        topic: z.number().int().min(0).max(10_000).optional(),
        seed: z.number().int().min(0).optional(),
      })
      .optional(),
    /** `slots`: experts of each layer that have room; `speed`, and `bandwidth` of the link to it: relative, default 1 */
    devices: z
      .array(z.strictObject({ slots: z.number().int().min(1), speed: z.number().positive().optional(), bandwidth: z.number().positive().optional() }))
      .min(1)
      .max(8),
    /** tokens; default 512 */
    batch: z.number().int().min(1).max(65_536).optional(),
    /** the sequences of a trace a token each in turn, as a server evaluates them, instead of one after the other */
    atOnce: z.boolean().optional(),
    /** batches after which copies are placed anew; default 8 */
    window: z.number().int().min(1).max(100_000).optional(),
    /** how many times its even share a device, or a copy, takes before it drops tokens; default 1 */
    capacityFactor: z.number().min(0).max(1000).optional(),
    /** of "replicate-quantize": share of a layer's experts that may be in low precision, default 0.25, and bytes of one as a share of its bytes in full, default 0.53 */
    lowShare: z.number().min(0).max(1).optional(),
    lowBytes: z.number().min(0.01).max(1).optional(),
    /** default: all */
    policies: z.array(RebalancerName).min(1).optional(),
    bytesPerExpert: z.number().min(0).max(1e12).optional(),
  })
  .refine((p) => (p.path === undefined) !== (p.synthetic === undefined), 'exactly one of path, synthetic');
export type DeviceReplayParameters = z.infer<typeof DeviceReplayParameters>;

export const DeviceReplay = z.object({
  policy: RebalancerName,
  /** time of the slowest device over that of an even load; mean and worst of all batches and layers */
  balanceMean: z.number(),
  balanceWorst: z.number(),
  /** sum of the slowest devices' times, tokens over speed */
  makespan: z.number(),
  /** share of the assignments of tokens to experts that are within the capacity of the devices, or of the single copies */
  survivedOnDevices: z.number(),
  survivedOnCopies: z.number(),
  /** share of the assignments that were computed in low precision */
  lowShare: z.number(),
  copiesMoved: z.number(),
  bytesMoved: z.number(),
  windows: z.number().int(),
  /** devices that a token's hidden state is sent to in a layer, in the mean: those that compute one of its experts */
  devicesPerToken: z.number(),
  /** share of what is sent so that goes over links with less than half the bandwidth of the fastest */
  slowRows: z.number(),
  /** those of them that computed none of its experts in the layer below: the transfers of a rig that leaves hidden states where they are */
  hopsPerToken: z.number(),
});
export type DeviceReplay = z.infer<typeof DeviceReplay>;

export const DeviceReplayResult = z.object({
  /** null: synthetic */
  model: z.string().nullable(),
  /** false: the trace's end is cut or damaged, and was left out */
  whole: z.boolean(),
  batches: z.number().int(),
  layers: z.number().int(),
  experts: z.number().int(),
  policies: z.array(DeviceReplay),
});
export type DeviceReplayResult = z.infer<typeof DeviceReplayResult>;
