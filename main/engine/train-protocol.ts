// `train.*`: runs of the trainer (native/train/run/methods.cpp).
import { z } from 'zod';

const count = z.number().int().min(0);
const Lora = z.strictObject({
  loraRank: z.number().int().min(1).max(4096),
  /** default: twice the rank */
  loraAlpha: z.number().positive().max(1e6).optional(),
  /** rsLoRA: scaled by alpha / sqrt(rank) instead of alpha / rank */
  rankStabilised: z.boolean().optional(),
  /** share of the adapter's input numbers that each step leaves out, none in validation; default: 0 */
  dropout: z.number().min(0).max(0.99).optional(),
});

/** Experts that are adapted, the others not at all: those that are named, or those that the data uses most (ESFT, arXiv 2407.01906). */
export const ChosenExperts = z.union(
  [
    z.strictObject({
      /** by layer (from 0) the numbers of its experts: { "0": [1, 5] }; none of layers that are not named */
      layers: z.record(z.string().regex(/^(0|[1-9]\d{0,4})$/), z.array(count).min(1)),
    }),
    z.strictObject({
      /** an expert's affinity: the average weight that the router gives it, or the share of tokens that it gets */
      method: z.enum(['gate', 'tokens']),
      /** of each layer the fewest experts whose share of its affinity reaches this; default: 0.2 */
      topP: z.number().min(1e-6).max(1).optional(),
      /** tokens of the data that are looked at; default: 16384 */
      sampleTokens: z.number().int().min(1).max(1e9).optional(),
    }),
  ],
  { error: 'names experts by layer ("layers"), or what is to choose them ("method", with "topP" and "sampleTokens"), and not both' },
);
export type ChosenExperts = z.infer<typeof ChosenExperts>;

/** What is trained; nothing that is not named. */
export const AdapterSettings = z.strictObject({
  attention: Lora.optional(),
  /** gate, up and down of dense FFNs */
  ffn: Lora.optional(),
  /** MixLoRA: dense FFNs become experts, each an adapter on gate, up and down, with a new router; exported merged */
  mixture: Lora.extend({
    /** default: 8 */
    expertCount: z.number().int().min(2).max(256).optional(),
    /** experts that a token uses; default: 2 */
    expertUsedCount: z.number().int().min(1).max(256).optional(),
  }).optional(),
  /** gate, up and down of every expert, or only of chosen ones */
  experts: Lora.extend({ chosen: ChosenExperts.optional() }).optional(),
  /** of shared experts */
  shared: Lora.optional(),
  router: Lora.optional(),
  /** the router's own weights instead of an adapter of it */
  wholeRouter: z.boolean().optional(),
  /** of layers, and the last one */
  wholeNorms: z.boolean().optional(),
  /** the embedding itself, which is the head, too, where a model has one matrix for both */
  wholeEmbedding: z.boolean().optional(),
  /** the head itself, where it has a matrix of its own */
  wholeHead: z.boolean().optional(),
});

export const OptimiserSettings = z.strictObject({
  kind: z.enum(['adamw', 'adamw-8bit', 'sgd']).optional(),
  weightDecay: z.number().min(0).max(1).optional(),
  /** of SGD */
  momentum: z.number().min(0).max(1).optional(),
  beta1: z.number().min(0).max(1).optional(),
  beta2: z.number().min(0).max(1).optional(),
  epsilon: z.number().min(1e-30).max(1).optional(),
  /** learning rate of each adapter's b, times that of everything else (LoRA+) */
  bRateFactor: z.number().min(1e-6).max(1e6).optional(),
});

export const Schedule = z.strictObject({
  kind: z.enum(['constant', 'linear', 'cosine', 'wsd', 'power']).optional(),
  /** updates of the whole run */
  steps: z.number().int().min(1),
  learningRate: z.number().positive().max(1000).optional(),
  warmupSteps: count.optional(),
  decaySteps: count.optional(),
  finalFraction: z.number().min(0).max(1).optional(),
  powerA: z.number().min(0).optional(),
  powerB: z.number().max(0).optional(),
  batchSequences: count.optional(),
});

/** Where a run computes, and with how much memory. */
export const TrainDevices = z.strictObject({
  /** routed experts; default: all on the CPU, which computes the rest */
  experts: z
    .array(
      z.strictObject({
        /** as `devices.list` names it; RPC0@host:port of another machine */
        device: z.string().min(1),
        /** experts of a layer that it may have copies of; default: of one device all, of several a quarter more than all together */
        slots: z.number().int().min(1).max(65536).optional(),
        /** most for their frozen matrices; layers that don't fit are read from disk when their turn comes */
        bytes: z.number().int().min(1).optional(),
      }),
    )
    .min(1)
    .max(8)
    .optional(),
  /**
   * most of RAM that a batch's activations may take until its backward pass; those of layers that have no room are computed again (checkpointing), which is slower and gives the same to the bit.
   * 0: all of them. Default: half of what is free
   */
  activationBytes: count.optional(),
  /** of RAM, for what runs beside it: counted as if the run needed it, and not used for activations. What the engine needs that answers samples is added. Default: 0 */
  reservedBytes: count.optional(),
});

/** What a router learns of its choice of experts, which has no derivative (native/train/README.md, "Routers"). */
export const RouterGradient = z.strictObject({
  /**
   * straight-through: nothing, only of the weights of those that were chosen (the default). sparse-mixer: experts are drawn by chance in steps, and losses of other draws estimated
   * (arXiv 2310.00811, 2409.12136). default-moe: running averages of their outputs stand in for experts that a token does not use (arXiv 2504.12463).
   */
  kind: z.enum(['straight-through', 'sparse-mixer', 'default-moe']).optional(),
  /** of sparse-mixer: experts are drawn among those whose logit is less than twice this share below the best one's; 1: among all; default 0.01 */
  reach: z.number().min(0).max(1).optional(),
  /** of default-moe: the share of a running average that a step keeps; default 0.9 */
  beta: z.number().min(0).max(0.9999).optional(),
});

/** Matryoshka (arXiv 2509.26520): each step draws for each layer how many experts a token uses, from min to max. Validation has the model's own number. */
export const ExpertUsedCount = z.strictObject({
  min: z.number().int().min(1).max(1024),
  max: z.number().int().min(1).max(1024),
  /** validation also tells the loss with every number from min to max, each at the cost of another validation; default: false */
  validateEach: z.boolean().optional(),
});

/** Of the objective "dpo" (arXiv 2305.18290). */
const Preference = z.strictObject({
  /** less goes further from the base; default 0.1 */
  beta: z.number().min(1e-4).max(100).optional(),
  /** share of pairs that are thought to be the wrong way round; default 0 */
  labelSmoothing: z.number().min(0).max(0.49).optional(),
  /** of the chosen answer's mean loss by token, added; default 0 */
  sftWeight: z.number().min(0).max(1000).optional(),
});

/** All of a run but where its model and its encoded dataset are. */
export const Recipe = z.strictObject({
  adapter: AdapterSettings,
  optimiser: OptimiserSettings.optional(),
  schedule: Schedule,
  routerLosses: z.strictObject({ balance: z.number().min(0).max(1000).optional(), z: z.number().min(0).max(1000).optional() }).optional(),
  routerGradient: RouterGradient.optional(),
  /** default: as many as the model uses, always */
  expertUsedCount: ExpertUsedCount.optional(),
  /** what comes next, or of two answers the better one, from data that is all pairs; default: next-token */
  objective: z.enum(['next-token', 'dpo']).optional(),
  dpo: Preference.optional(),
  /** every learnt token counts the same, or every sequence */
  weighting: z.enum(['tokens', 'sequences']).optional(),
  /** most tokens of one pass */
  batchTokens: z.number().int().min(2).max(1048576).optional(),
  /** passes whose gradients are added up for a step */
  batchesPerStep: z.number().int().min(1).max(65536).optional(),
  /** largest norm of a step's gradients; 0: any; default: 1, of SGD 0 */
  clip: z.number().min(0).optional(),
  seed: count.optional(),
  threads: z.number().int().min(1).max(512).optional(),
  devices: TrainDevices.optional(),
});
export type Recipe = z.infer<typeof Recipe>;

const Run = z.strictObject({ run: z.number().int().min(1) });
const Shape = z.tuple([count, count, count]);

export const OpenedRun = z.object({
  run: z.number().int(),
  /** steps that are done */
  step: count,
  steps: count,
  examples: count,
  /** the dataset has a validation part */
  validates: z.boolean(),
  /** numbers that are trained, and the tensors that they are in */
  parameters: count,
  tensors: z.array(z.object({ name: z.string(), shape: Shape })),
  /** if only some experts are adapted: of each layer that has some, ascending */
  chosenExperts: z
    .object({
      /** of the data that decided; null: they were named */
      sampledTokens: count.nullable(),
      /** affinities: of these experts, shares of their layer's; empty: they were named */
      layers: z.array(z.object({ layer: count, experts: z.array(count), affinities: z.array(z.number()) })),
    })
    .optional(),
  optimiserBytes: count,
});
export type OpenedRun = z.infer<typeof OpenedRun>;

/** Means over pairs. A reward: beta * (log probability of an answer - the same of the base). */
export const PreferenceReport = z.object({
  /** share of pairs whose chosen answer has the higher reward */
  accuracy: z.number(),
  margin: z.number().nullable(),
  chosenReward: z.number().nullable(),
  rejectedReward: z.number().nullable(),
});
export type PreferenceReport = z.infer<typeof PreferenceReport>;

export const StepReport = z.object({
  step: count,
  /** of the learnt tokens; null: it is no number */
  loss: z.number().nullable(),
  balanceLoss: z.number().nullable(),
  zLoss: z.number().nullable(),
  learningRate: z.number(),
  /** before clipping */
  gradientNorm: z.number().nullable(),
  tokens: count,
  targets: count,
  /** share of the batches' room that was used */
  fill: z.number(),
  epoch: count,
  seconds: z.number(),
  guardian: z.object({ action: z.enum(['go-on', 'skip', 'roll-back']), reason: z.string() }),
  /** [layers][experts] */
  expertTokens: z.array(z.array(count)),
  /** [layers] experts that a token used, where they were drawn; 0: of a layer without routing */
  expertUsedCounts: z.array(count).optional(),
  /** of several devices: copies of each expert as the next step finds them [layers][experts]; assignments of tokens that each device computed, and bytes written to all of them, since the step before */
  devices: z.object({ copies: z.array(z.array(count)), assignments: z.array(count), frozenBytes: count, adapterBytes: count }).nullable(),
  /** by the first update (lora_b, whole tensors) and by the second one (lora_a): what should have moved and did not, though it has a gradient, or because it has none */
  unmoved: z.array(z.object({ name: z.string(), expert: count.nullable(), hasGradient: z.boolean() })),
  /** of the objective "dpo" */
  preference: PreferenceReport.optional(),
});
export type StepReport = z.infer<typeof StepReport>;

export const ValidationReport = z.object({
  loss: z.number().nullable(),
  targets: count,
  seconds: z.number(),
  preference: PreferenceReport.optional(),
  /** if asked for (expertUsedCount.validateEach) */
  byExpertUsedCount: z.array(z.object({ expertUsedCount: count, loss: z.number().nullable() })).optional(),
});
export type ValidationReport = z.infer<typeof ValidationReport>;

export const Movement = z.object({ tensors: z.array(z.object({ tensor: z.string(), norms: z.array(z.number()) })) });
export type Movement = z.infer<typeof Movement>;

export const ExportFormat = z.enum(['adapter', 'peft', 'merged']);
export type ExportFormat = z.infer<typeof ExportFormat>;

export const trainMethods = {
  'train.open': {
    parameters: z.strictObject({
      settings: Recipe.extend({ model: z.string().min(1), data: z.string().min(1) }),
      /** to go on from */
      checkpoint: z.string().min(1).optional(),
      /** while experts are chosen by what the data uses: stage `choose-experts` */
      progressToken: z.string().optional(),
    }),
    result: OpenedRun,
  },
  /** The next step; a cancelled one is as if it had not begun. */
  'train.step': { parameters: Run, result: StepReport },
  'train.validate': { parameters: Run, result: ValidationReport },
  'train.save': { parameters: Run.extend({ path: z.string().min(1) }), result: z.object({ path: z.string(), step: count }) },
  /** How far everything is from the base: Frobenius norms, [experts] of each adapted tensor (one, if it is no stack; 0 of experts that are not adapted), and one of each tensor that is trained whole. */
  'train.movement': { parameters: Run, result: Movement },
  'train.close': { parameters: Run, result: z.object({}) },
  'train.export': {
    parameters: z.strictObject({
      checkpoint: z.string().min(1),
      format: ExportFormat.optional(),
      /** a file; of peft a folder */
      path: z.string().min(1),
      /** of numbers: adapter f32 or f16, merged "same", "f32", "q8_0" ... */
      type: z.string().min(1).optional(),
      /** what PEFT loads the base by */
      baseName: z.string().optional(),
      /** leave out whole tensors (routers, norms, embedding, head), which only merged files hold: what is left is another function than what was trained */
      pairsOnly: z.boolean().optional(),
      /** of a merged file: stage `export` */
      progressToken: z.string().optional(),
    }),
    result: z.object({ path: z.string(), step: count }),
  },
} as const;
