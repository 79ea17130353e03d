// Plans to begin with, as who fine-tunes expects them: rank 16, alpha 32, 2e-4 with a cosine and 3% of warm-up, AdamW, three times through the data.
import type { Inspection, TrainingRecipe } from '../../contract/index.ts';

const LORA = { loraRank: 16, loraAlpha: 32 };
/** whose matrices have a row for each expert, which may be 8 */
const ROUTER_LORA = { loraRank: 4, loraAlpha: 8 };
const LEARNING_RATE = 2e-4;
const WARMUP = 0.03;
const EPOCHS = 3;
/** where nobody has counted the data */
const STEPS = 200;
const BATCH_TOKENS = 2048;
/** what packing usually leaves of a batch's room is little (native/train/README.md) */
const FILL = 0.95;
const CHECKPOINTS = 5;
const VALIDATIONS = 20;

export interface DataSize {
  /** of the training part */
  tokens?: number | undefined;
  /** tokens of the longest example */
  longest?: number | undefined;
}

/** The recommended one first. */
export function recipesFor(model: Pick<Inspection, 'contextLength' | 'moeLayers'>, data: DataSize): TrainingRecipe[] {
  const plan = planFor(model, data);
  const attention = { attention: LORA };
  const light: TrainingRecipe = {
    id: 'attention',
    name: 'Attention only',
    note: 'The least memory and time: style and format are learnt, little knowledge.',
    plan: { ...plan, adapter: attention },
  };
  if (model.moeLayers.length === 0) return [...denseRecipes(plan), light];
  const experts = { ...attention, experts: LORA };
  return [
    {
      id: 'experts',
      name: 'Experts and attention',
      note: 'Every expert gets an adapter of its own. Routing stays as it is.',
      plan: { ...plan, adapter: experts },
    },
    light,
    {
      id: 'router',
      name: 'Experts, attention and router',
      note: 'Routing is learnt, too, with a loss that keeps the experts evenly used: for data that is far from what the model knows.',
      plan: { ...plan, adapter: { ...experts, router: ROUTER_LORA }, routerLosses: { balance: 0.001, z: 0.001 } },
    },
  ];
}

/** A mixture's experts share the reach of one adapter: a token has few of them, whose weights add up to 1. */
const MIXTURE = { ...LORA, loraRank: 8, expertCount: 4, expertUsedCount: 2 };

function denseRecipes(plan: Omit<TrainingRecipe['plan'], 'adapter'>): TrainingRecipe[] {
  return [
    {
      id: 'ffn',
      name: 'FFN and attention',
      note: 'One adapter on every matrix of a layer.',
      plan: { ...plan, adapter: { attention: LORA, ffn: LORA } },
    },
    {
      id: 'mixture',
      name: 'A mixture of experts (MixLoRA)',
      note: 'Makes a model with experts of a dense one: four adapters on its FFN, of which a router gives each token two. Only a merged model holds them.',
      plan: { ...plan, adapter: { attention: LORA, mixture: MIXTURE } },
    },
  ];
}

function planFor(model: Pick<Inspection, 'contextLength'>, { tokens, longest = 0 }: DataSize): Omit<TrainingRecipe['plan'], 'adapter'> {
  const batchTokens = Math.min(model.contextLength, Math.max(BATCH_TOKENS, longest));
  const steps = tokens === undefined ? STEPS : Math.max(10, Math.ceil((EPOCHS * tokens) / (batchTokens * FILL)));
  const every = (parts: number) => Math.max(1, Math.round(steps / parts));
  return {
    optimiser: { kind: 'adamw' },
    schedule: { kind: 'cosine', steps, learningRate: LEARNING_RATE, warmupSteps: Math.ceil(steps * WARMUP) },
    batchTokens,
    seed: 1,
    validateEvery: every(VALIDATIONS),
    saveEvery: every(CHECKPOINTS),
    keep: CHECKPOINTS,
    saveFirst: true,
    samples: { examples: 3, maxTokens: 64 },
  };
}
