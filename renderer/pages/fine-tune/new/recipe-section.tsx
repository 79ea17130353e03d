// How it is trained: a recipe of the core's to begin with, the settings that matter, and all others folded away.
import { useEffect, useState } from 'react';
import type { DatasetReport, ModelCard, Recipe, TrainingRecipe } from '../../../../main/contract/index.ts';
import { Field, format, NumberInput, Section, Select } from '../../../components/index.ts';
import { useStores } from '../../../stores/index.tsx';
import { DEFAULT_RATE } from '../learning-rate.ts';
import { AdapterTable } from './adapter-table.tsx';
import { AdvancedFields } from './advanced-fields.tsx';
import type { DraftErrors } from './draft-errors.ts';
import style from './recipe.module.css';
import { DEFAULT_BATCH_TOKENS, hasDecay, stepsOfEpoch, trainingTokens, useRunDraft } from './run-draft.ts';
import { rateText, SchedulePlot } from './schedule-plot.tsx';

export function RecipeSection({ model, report, errors }: { model: ModelCard | undefined; report: DatasetReport | null; errors: DraftErrors }) {
  return (
    <Section title="Recipe" hint="Empty fields take the default that they show.">
      <RecipePicker modelId={model?.id} report={report} />
      <AdapterTable inspection={model?.inspection ?? null} error={errors.adapter ?? errors.router ?? errors.mixture} />
      <div className={style.main}>
        <MainFields report={report} errors={errors} />
        <Plot />
      </div>
      <AdvancedFields report={report} inspection={model?.inspection ?? null} errors={errors} />
    </Section>
  );
}

function RecipePicker({ modelId, report }: { modelId: string | undefined; report: DatasetReport | null }) {
  const recipes = useRecipes(modelId, report);
  const recipeId = useRunDraft((state) => state.draft.recipeId);
  const takeRecipe = useRunDraft((state) => state.takeRecipe);
  const [first] = recipes;
  useEffect(() => {
    if (recipeId === null && first && report) takeRecipe(first);
  }, [recipeId, first, report, takeRecipe]);
  if (recipes.length === 0) return null;
  const chosen = recipes.find(({ id }) => id === recipeId);
  const take = (id: string) => {
    const recipe = recipes.find((one) => one.id === id);
    if (recipe) takeRecipe(recipe);
  };
  return (
    <div className={style.picker}>
      <Field label="Begin with" hint={chosen?.note ?? 'fills in what follows'}>
        {(control) => (
          <Select
            {...control}
            value={chosen?.id}
            onChange={take}
            placeholder="a recipe"
            options={recipes.map(({ id, name }) => ({ value: id, label: name }))}
          />
        )}
      </Field>
    </div>
  );
}

/** Asked again when the data has been read, whose size decides the steps. */
function useRecipes(modelId: string | undefined, report: DatasetReport | null): TrainingRecipe[] {
  const { client, notices } = useStores();
  const [recipes, setRecipes] = useState<TrainingRecipe[]>([]);
  useEffect(() => {
    if (modelId === undefined) return;
    let current = true;
    const tokens = trainingTokens(report);
    const data = report && tokens !== null ? { examples: report.split.train, tokens, longest: report.tokens?.lengths.max } : {};
    client.call('training.recipes', { modelId, ...data }).then(
      (found) => current && setRecipes(found),
      (error: unknown) => notices.getState().error(error),
    );
    return () => {
      current = false;
    };
  }, [client, notices, modelId, report]);
  return recipes;
}

const epochsText = (steps: number, epoch: number) => `${format.count(steps / epoch)} epochs; one has ${format.exact(epoch)} ${epoch === 1 ? 'step' : 'steps'}`;

const kinds: { value: NonNullable<Recipe['schedule']['kind']>; label: string; hint?: string }[] = [
  { value: 'constant', label: 'constant' },
  { value: 'linear', label: 'linear' },
  { value: 'cosine', label: 'cosine' },
  { value: 'wsd', label: 'warm-up, stable, decay' },
  { value: 'power', label: 'Power Scheduler' },
];

function MainFields({ report, errors }: { report: DatasetReport | null; errors: DraftErrors }) {
  const plan = useRunDraft((state) => state.draft.plan);
  const changePlan = useRunDraft((state) => state.changePlan);
  const { schedule, batchTokens } = plan;
  const change = (next: Partial<Recipe['schedule']>) => changePlan({ schedule: { ...schedule, ...next } });
  const epoch = stepsOfEpoch(plan, report);
  const room = batchTokens ?? DEFAULT_BATCH_TOKENS;
  const longest = report?.tokens?.lengths.max ?? 0;
  const epochs = epoch === null ? 'updates of the whole run' : epochsText(schedule.steps, epoch);
  return (
    <div className={style.fields}>
      <Field label="Steps" hint={epochs}>
        {(control) => <NumberInput {...control} integer min={1} value={schedule.steps} onCommit={(steps) => change({ steps: steps ?? 200 })} />}
      </Field>
      <Field label="Learning rate" hint="the highest of the run">
        {(control) => (
          <NumberInput
            {...control}
            min={1e-9}
            max={1000}
            placeholder={rateText(DEFAULT_RATE)}
            value={schedule.learningRate}
            onCommit={(learningRate) => change({ learningRate })}
          />
        )}
      </Field>
      <Field
        label="Tokens of a batch"
        hint={longest > room ? `examples of more are cut; the longest has ${longest}` : 'whole examples are packed into it'}
        error={errors.batchTokens}
      >
        {(control) => (
          <NumberInput
            {...control}
            integer
            min={2}
            max={1_048_576}
            placeholder={String(DEFAULT_BATCH_TOKENS)}
            value={batchTokens}
            onCommit={(value) => changePlan({ batchTokens: value })}
          />
        )}
      </Field>
      <ScheduleFields schedule={schedule} change={change} errors={errors} />
    </div>
  );
}

interface ScheduleFieldsProps {
  schedule: Recipe['schedule'];
  change: (next: Partial<Recipe['schedule']>) => void;
  errors: DraftErrors;
}

function ScheduleFields({ schedule: { kind = 'constant', warmupSteps, decaySteps, batchSequences }, change, errors }: ScheduleFieldsProps) {
  return (
    <>
      <Field label="Schedule">{(control) => <Select {...control} value={kind} onChange={(value) => change({ kind: value })} options={kinds} />}</Field>
      <Field label="Warm-up steps" error={errors.warmupSteps}>
        {(control) => <NumberInput {...control} integer min={0} placeholder="0" value={warmupSteps} onCommit={(value) => change({ warmupSteps: value })} />}
      </Field>
      {hasDecay(kind) && (
        <Field label="Decay steps" hint="the last ones" error={errors.decaySteps}>
          {(control) => <NumberInput {...control} integer min={0} placeholder="0" value={decaySteps} onCommit={(value) => change({ decaySteps: value })} />}
        </Field>
      )}
      {kind === 'power' && (
        <Field label="Examples of a step" error={errors.batchSequences}>
          {(control) => <NumberInput {...control} integer min={1} value={batchSequences} onCommit={(value) => change({ batchSequences: value })} />}
        </Field>
      )}
    </>
  );
}

function Plot() {
  const { schedule, batchTokens = DEFAULT_BATCH_TOKENS, batchesPerStep = 1 } = useRunDraft((state) => state.draft.plan);
  return <SchedulePlot schedule={schedule} stepTokens={batchTokens * batchesPerStep} />;
}
