// The form of a new run: what is chosen, and what is wrong with it. It outlives the page.
import { create } from 'zustand';
import type {
  DatasetReport,
  ErrorBody,
  Recipe,
  TrainingData,
  TrainingDraft,
  TrainingPlan,
  TrainingRecipe,
  TrainingRun,
} from '../../../../main/contract/index.ts';

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

export type DraftField = 'files' | 'adapter' | 'router' | 'warmupSteps' | 'decaySteps' | 'batchSequences' | 'batchTokens';
export type DraftErrors = Partial<Record<DraftField, string>>;

export const DEFAULT_BATCH_TOKENS = 2048;
const PARTS = ['attention', 'ffn', 'experts', 'shared', 'router'] as const;

/** What keeps the run from being begun, by field, with the numbers. `dataError`: why the data cannot be read as it is chosen now. */
export function draftErrors({ plan }: RunDraft, dataError: ErrorBody | null): DraftErrors {
  const { adapter, data } = plan;
  const isAnyTrained = PARTS.some((part) => adapter[part] !== undefined) || adapter.wholeRouter || adapter.wholeNorms;
  const room = plan.batchTokens ?? DEFAULT_BATCH_TOKENS;
  const limit = data.maxTokens ?? 0;
  return {
    ...(data.files.length === 0 && { files: 'Add a file with examples first.' }),
    ...(dataError &&
      dataError.code !== 'cancelled' && {
        files: dataError.code === 'dataset.format-unsure' ? 'Say first how the rows are meant.' : 'This data cannot be used; see below.',
      }),
    ...(!isAnyTrained && { adapter: 'Nothing would be trained: choose at least one part of the model.' }),
    ...(adapter.wholeRouter && adapter.router && { router: 'The router is trained whole or with an adapter, not both.' }),
    ...(limit > room && { batchTokens: `An example may have ${limit} tokens, and a batch has room for ${room}: give it more, or cut examples to less.` }),
    ...scheduleErrors(plan.schedule),
  };
}

function scheduleErrors({ kind, steps, warmupSteps = 0, decaySteps = 0, batchSequences = 0 }: Recipe['schedule']): DraftErrors {
  const left = steps - Math.min(steps, warmupSteps);
  return {
    ...(warmupSteps > steps && { warmupSteps: `The warm-up has ${warmupSteps} steps, and the run only ${steps}.` }),
    ...(hasDecay(kind) &&
      decaySteps > left && { decaySteps: `The decay has ${decaySteps} steps, and the run of ${steps} has ${left} left behind the warm-up.` }),
    ...(kind === 'power' && batchSequences < 1 && { batchSequences: 'The power schedule needs to know how many examples a step has: 1 or more.' }),
  };
}

export const hasDecay = (kind: Recipe['schedule']['kind']): boolean => kind === 'wsd' || kind === 'power';

/** `60 steps of 2048 tokens · attention rank 16 · experts rank 16` */
export function planText({ plan: { schedule, batchTokens = DEFAULT_BATCH_TOKENS, batchesPerStep = 1, adapter } }: RunDraft): string {
  const adapters = PARTS.flatMap((part) => (adapter[part] ? [`${part} rank ${adapter[part].loraRank}`] : []));
  const whole = [...(adapter.wholeRouter ? ['whole routers'] : []), ...(adapter.wholeNorms ? ['norms'] : [])];
  return [`${schedule.steps} steps of ${batchTokens * batchesPerStep} tokens`, ...adapters, ...whole].join(' · ');
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

/** What the core is asked for: without settings that do not belong to the choices, which the trainer would refuse. */
export function toRequest({ name, plan }: RunDraft, modelId: string): TrainingDraft {
  return {
    modelId,
    plan: { ...plan, ...(plan.optimiser && { optimiser: cleanOptimiser(plan.optimiser) }), schedule: cleanSchedule(plan.schedule) },
    ...named(name),
  };
}

const named = (name: string) => (name.trim() === '' ? {} : { name: name.trim() });

function cleanOptimiser({ momentum, beta1, beta2, epsilon, ...optimiser }: NonNullable<Recipe['optimiser']>): NonNullable<Recipe['optimiser']> {
  return withChanges<NonNullable<Recipe['optimiser']>>(optimiser, optimiser.kind === 'sgd' ? { momentum } : { beta1, beta2, epsilon });
}

function cleanSchedule({ decaySteps, powerA, powerB, batchSequences, ...schedule }: Recipe['schedule']): Recipe['schedule'] {
  const power = schedule.kind === 'power' ? { powerA, powerB, batchSequences } : {};
  return withChanges<Recipe['schedule']>(schedule, { ...(hasDecay(schedule.kind) && { decaySteps }), ...power });
}
