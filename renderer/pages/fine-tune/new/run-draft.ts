// The form of a new run: what is chosen, and what is wrong with it. It outlives the page.
import { create } from 'zustand';
import type { DatasetReport, Recipe, TrainingData, TrainingDraft, TrainingPlan, TrainingRecipe, TrainingRun } from '../../../../main/contract/index.ts';
import { wholeParts } from './adapter-parts.ts';

export interface RunDraft {
  name: string;
  /** null: the one that chats use */
  modelId: string | null;
  /** `data.files` may be empty yet */
  plan: TrainingPlan;
  /** of the core, which the settings were taken from; null: none yet */
  recipeId: string | null;
}

/** What most guides use, until the core has proposed a recipe for the model: rank 16, alpha 32, 2e-4, cosine with 3% of warm-up. */
export const newDraft = (): RunDraft => ({
  name: '',
  modelId: null,
  plan: {
    data: { files: [] },
    adapter: { attention: { loraRank: 16, loraAlpha: 32 }, experts: { loraRank: 16, loraAlpha: 32 } },
    optimiser: { kind: 'adamw' },
    schedule: { kind: 'cosine', steps: 200, learningRate: 2e-4, warmupSteps: 6 },
    batchTokens: 2048,
    validateEvery: 25,
    saveEvery: 50,
    samples: {},
  },
  recipeId: null,
});

interface DraftState {
  draft: RunDraft;
  change(change: Partial<Omit<RunDraft, 'plan'>>): void;
  changePlan(change: Partial<TrainingPlan>): void;
  changeData(change: Partial<TrainingData>): void;
  /** data and name stay */
  takeRecipe(recipe: TrainingRecipe): void;
  /** begins as another run was */
  takeRun(run: TrainingRun): void;
  reset(): void;
}

export const useRunDraft = create<DraftState>()((set) => {
  const change = (of: (draft: RunDraft) => RunDraft) => set(({ draft }) => ({ draft: of(draft) }));
  return {
    draft: newDraft(),
    change: (changes) => change((draft) => ({ ...draft, ...changes })),
    changePlan: (changes) => change((draft) => ({ ...draft, plan: withChanges(draft.plan, changes) })),
    changeData: (changes) => change((draft) => ({ ...draft, plan: { ...draft.plan, data: withChanges(draft.plan.data, changes) } })),
    takeRecipe: ({ id, plan }) => change((draft) => ({ ...draft, recipeId: id, plan: { ...plan, data: draft.plan.data } })),
    takeRun: ({ name, modelId, plan }) => set({ draft: { name: `${name}, again`, modelId, plan, recipeId: '' } }),
    reset: () => set({ draft: newDraft() }),
  };
});

/** undefined takes a setting out, so that its default holds. */
function withChanges<T extends object>(values: T, changes: Partial<T>): T {
  // Only keys that may be missing are ever set to undefined by the form.
  return Object.fromEntries(Object.entries({ ...values, ...changes }).filter(([, value]) => value !== undefined)) as T;
}

export const DEFAULT_BATCH_TOKENS = 2048;
/** Defaults of the trainer (native/train/run/run-settings.cpp). */
export const MIXTURE_EXPERTS = 8;
export const MIXTURE_USED = 2;
/** Load balance loss's factor for a mixture, whose new router would send all to a few. */
export const MIXTURE_BALANCE = 0.01;
const PARTS = ['attention', 'ffn', 'experts', 'shared', 'router'] as const;

/** Whether the data is preference pairs, of which the better answer is learnt (DPO). */
export function learnsPreferences({ kinds, good }: DatasetReport): 'yes' | 'no' | 'partly' {
  if (kinds.preference === 0) return 'no';
  return kinds.preference === good ? 'yes' : 'partly';
}

export const hasDecay = (kind: Recipe['schedule']['kind']): boolean => kind === 'wsd' || kind === 'power';

/** `60 steps of 2048 tokens · attention rank 16 · experts rank 16` */
export function planText(
  { plan: { schedule, batchTokens = DEFAULT_BATCH_TOKENS, batchesPerStep = 1, adapter } }: RunDraft,
  report: DatasetReport | null,
): string {
  const adapters = PARTS.flatMap((part) => (adapter[part] ? [`${part} rank ${adapter[part].loraRank}`] : []));
  const { mixture } = adapter;
  const mixtures = mixture ? [`mixture of ${mixture.expertCount ?? MIXTURE_EXPERTS}, rank ${mixture.loraRank}`] : [];
  const whole = wholeParts.flatMap(({ part, name }) => (adapter[part] ? [name] : []));
  const objective = report && learnsPreferences(report) === 'yes' ? ['preferences (DPO)'] : [];
  return [`${schedule.steps} steps of ${batchTokens * batchesPerStep} tokens`, ...objective, ...adapters, ...mixtures, ...whole].join(' · ');
}

/** Steps of one pass over the training part; null: not known. Packing leaves next to nothing of a batch unused. */
export function stepsOfEpoch({ batchTokens = DEFAULT_BATCH_TOKENS, batchesPerStep = 1 }: TrainingPlan, report: DatasetReport | null): number | null {
  const tokens = trainingTokens(report);
  return tokens === null ? null : Math.max(1, Math.ceil(tokens / (batchTokens * batchesPerStep)));
}

/** of the training part, as many in each example as in all; null: not known */
export function trainingTokens(report: DatasetReport | null): number | null {
  if (!report?.tokens || report.good === 0) return null;
  return Math.round((report.tokens.total * report.split.train) / report.good);
}

/** What the core is asked for: without settings that do not belong to the choices, which the trainer would refuse; the objective follows from the data. */
export function toRequest({ name, plan: drafted }: RunDraft, modelId: string, report: DatasetReport | null): TrainingDraft {
  const { dpo, objective: _, ...plan } = drafted.data.validation === 0 ? withoutValidation(drafted) : drafted;
  const isPairs = report === null || learnsPreferences(report) === 'yes';
  return {
    modelId,
    plan: {
      ...plan,
      ...(dpo && isPairs && { dpo }),
      ...(plan.routerGradient && { routerGradient: cleanRouterGradient(plan.routerGradient) }),
      ...(plan.optimiser && { optimiser: cleanOptimiser(plan.optimiser) }),
      schedule: cleanSchedule(plan.schedule),
    },
    ...named(name),
  };
}

const named = (name: string) => (name.trim() === '' ? {} : { name: name.trim() });

function cleanOptimiser({ momentum, beta1, beta2, epsilon, ...optimiser }: NonNullable<Recipe['optimiser']>): NonNullable<Recipe['optimiser']> {
  return withChanges<NonNullable<Recipe['optimiser']>>(optimiser, optimiser.kind === 'sgd' ? { momentum } : { beta1, beta2, epsilon });
}

function cleanRouterGradient({ kind, reach, beta }: NonNullable<Recipe['routerGradient']>): NonNullable<Recipe['routerGradient']> {
  return withChanges<NonNullable<Recipe['routerGradient']>>({}, { kind, ...(kind === 'sparse-mixer' && { reach }), ...(kind === 'default-moe' && { beta }) });
}

function cleanSchedule({ decaySteps, finalFraction, powerA, powerB, batchSequences, ...schedule }: Recipe['schedule']): Recipe['schedule'] {
  const { kind = 'constant' } = schedule;
  const power = kind === 'power' ? { powerA, powerB, batchSequences } : {};
  return withChanges<Recipe['schedule']>(schedule, { ...(hasDecay(kind) && { decaySteps }), ...(kind !== 'constant' && { finalFraction }), ...power });
}

/** Looks at a validation part that there is none of would be refused. */
function withoutValidation({ validateEvery: _, samples, expertUsedCount, ...plan }: TrainingPlan): TrainingPlan {
  return {
    ...plan,
    ...(samples?.prompts && { samples }),
    ...(expertUsedCount && { expertUsedCount: withChanges(expertUsedCount, { validateEach: undefined }) }),
  };
}
