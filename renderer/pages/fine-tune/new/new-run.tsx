// A new run: model, data, recipe, samples; what is wrong stands at its field, and the button waits for it.
import { Play, RotateCcw } from 'lucide-react';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { type DatasetReport, type ErrorBody, type ModelCard, toErrorBody } from '../../../../main/contract/index.ts';
import { Button, ErrorNotice, Field, Figures, format, PageFrame, Section, Select, TextInput } from '../../../components/index.ts';
import { address, navigate } from '../../../shell/navigation.ts';
import { errorHelp } from '../../../stores/error-help.ts';
import { useApp, useCommands, useModels, useStores, useTraining } from '../../../stores/index.tsx';
import { chooseModel } from '../../../stores/models.ts';
import { DataSection } from './data-section.tsx';
import { type DraftErrors, draftErrors } from './draft-errors.ts';
import style from './new-run.module.css';
import { RecipeSection } from './recipe-section.tsx';
import { planText, toRequest, useRunDraft } from './run-draft.ts';
import { RunEstimate } from './run-estimate.tsx';
import { SamplesSection } from './samples-section.tsx';
import { type Preview, usePreview } from './use-preview.ts';

const BEGIN_KEYS = 'mod+enter';

export function NewRun({ like }: { like: string | null }) {
  useLikeAnother(like);
  const draft = useRunDraft((state) => state.draft);
  const reset = useRunDraft((state) => state.reset);
  const model = useModel(draft.modelId);
  const preview = usePreview(model?.id, draft.plan.data);
  const errors = useDraftErrors(model, preview);
  const { begin, busy, error } = useBegin(model, preview.report, errors);
  const stores = useStores();
  useCommands(
    useMemo(() => [{ id: 'tune.begin', title: 'Begin the run', group: 'Fine-tune', icon: Play, keys: BEGIN_KEYS, run: () => void begin() }], [begin]),
  );
  return (
    <PageFrame
      title="New run"
      hint={<a href={address('fine-tune')}>All runs</a>}
      actions={
        <Button icon={RotateCcw} onClick={reset} hint="Empties the form">
          Reset
        </Button>
      }
    >
      <div className={style.form}>
        <ModelSection model={model} />
        <DataSection preview={preview} error={draft.plan.data.files.length > 0 ? errors.files : undefined} />
        <RecipeSection model={model} report={preview.report} errors={errors} />
        <RunEstimate model={model} report={preview.report} isSound={Object.keys(errors).length === 0} />
        <SamplesSection />
      </div>
      <footer className={style.footer}>
        {error && <ErrorNotice className={style.refused} error={error} advice={errorHelp(error, stores).advice} />}
        <p className={style.note}>{model === undefined ? 'There is no model to train.' : (Object.values(errors)[0] ?? planText(draft, preview.report))}</p>
        <Button icon={Play} variant="primary" keys={BEGIN_KEYS} busy={busy} disabled={!isReady(model, errors)} onClick={() => void begin()}>
          Begin
        </Button>
      </footer>
    </PageFrame>
  );
}

const isReady = (model: ModelCard | undefined, errors: DraftErrors) => model !== undefined && Object.keys(errors).length === 0;

function useModel(wanted: string | null): ModelCard | undefined {
  const models = useModels((state) => state.models);
  return useMemo(
    () =>
      chooseModel(
        (models ?? []).filter(({ problem }) => problem === null),
        wanted,
      ),
    [models, wanted],
  );
}

function useDraftErrors(model: ModelCard | undefined, { report, error }: Preview): DraftErrors {
  const draft = useRunDraft((state) => state.draft);
  const devices = useApp((state) => state.devices);
  return draftErrors(draft, { dataError: error, report, inspection: model?.inspection ?? null, devices: devices.map(({ id }) => id) });
}

/** `#/fine-tune/new?like=ID` begins with that run's settings. */
function useLikeAnother(like: string | null): void {
  const run = useTraining((state) => state.runs?.find(({ id }) => id === like));
  const takeRun = useRunDraft((state) => state.takeRun);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the run is known; its progress changes it all the time
  useEffect(() => {
    if (run) takeRun(run);
  }, [run?.id, takeRun]);
}

function useBegin(model: ModelCard | undefined, report: DatasetReport | null, errors: DraftErrors) {
  const { training } = useStores();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ErrorBody | null>(null);
  const modelId = model?.id;
  const ready = isReady(model, errors);
  const begin = useCallback(async () => {
    if (!ready || modelId === undefined) return;
    const { draft, reset } = useRunDraft.getState();
    setBusy(true);
    setError(null);
    try {
      const run = await training.getState().create(toRequest(draft, modelId, report));
      reset();
      navigate('fine-tune', ['run', run.id]);
    } catch (thrown) {
      setError(toErrorBody(thrown));
    } finally {
      setBusy(false);
    }
  }, [training, modelId, report, ready]);
  return { begin, busy, error };
}

function ModelSection({ model }: { model: ModelCard | undefined }) {
  const models = useModels((state) => state.models);
  const name = useRunDraft((state) => state.draft.name);
  const change = useRunDraft((state) => state.change);
  const options = (models ?? []).map(({ id, name: label, problem, state }) => ({
    value: id,
    label,
    disabled: problem !== null,
    ...(problem ? { hint: 'cannot be used' } : state.state === 'loaded' ? { hint: 'loaded' } : {}),
  }));
  return (
    <Section title="Model" hint="The GGUF itself stays as it is, quantised or not: the run makes an adapter for it.">
      <div className={style.wideFields}>
        <Field label="Base">
          {(control) => <Select {...control} value={model?.id} onChange={(modelId) => change({ modelId })} options={options} placeholder="No model" />}
        </Field>
        <Field label="Name of the run">
          {(control) => (
            <TextInput
              {...control}
              maxLength={200}
              placeholder="of its data and its base"
              value={name}
              onChange={(event) => change({ name: event.target.value })}
            />
          )}
        </Field>
      </div>
      {model?.inspection && (
        <Figures
          figures={[
            { label: 'architecture', value: model.inspection.architecture },
            { label: 'layers', value: model.inspection.layerCount },
            { label: 'experts of a layer', value: model.inspection.expertCount || 'none' },
            { label: 'parameters', value: format.count(model.inspection.parameterCount), title: format.exact(model.inspection.parameterCount) },
            { label: 'size', value: format.bytes(model.bytes), title: `${model.bytes} bytes` },
          ]}
        />
      )}
    </Section>
  );
}
