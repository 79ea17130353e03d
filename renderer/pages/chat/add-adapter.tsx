// Adapters to add to a model: of its finished runs, or any GGUF file.
import { Plus } from 'lucide-react';
import { useState } from 'react';
import { type ErrorBody, type TrainingRun, toErrorBody } from '../../../main/contract/index.ts';
import { Button, ChooseFile, ErrorNotice, TextInput } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useAdapters, useStores, useTraining } from '../../stores/index.tsx';
import { runsToAdd } from './adapter-choice.ts';
import style from './adapter-control.module.css';

export function AddAdapter({ modelId }: { modelId: string }) {
  const stores = useStores();
  const [path, setPath] = useState('');
  /** what is being added: a path, or the id of a run */
  const [busy, setBusy] = useState<string | null>(null);
  const [error, setError] = useState<ErrorBody | null>(null);
  const add = async (what: string, adding: () => Promise<unknown>) => {
    setBusy(what);
    setError(null);
    try {
      await adding();
      setPath('');
    } catch (refusal) {
      setError(toErrorBody(refusal));
    }
    setBusy(null);
  };
  const addFile = (file: string) => add(file, () => stores.adapters.getState().add(modelId, file));
  const addRun = (run: TrainingRun) => add(run.id, () => stores.adapters.getState().addFromRun(run, run.progress.step));
  return (
    <>
      <FinishedRuns modelId={modelId} busy={busy} onAdd={(run) => void addRun(run)} />
      <form
        className={style.add}
        onSubmit={(event) => {
          event.preventDefault();
          void addFile(path.trim());
        }}
      >
        <TextInput aria-label="Adapter file" mono placeholder="Path of an adapter .gguf" value={path} onChange={(event) => setPath(event.target.value)} />
        <ChooseFile label="Choose an adapter file" onChoose={(chosen) => void addFile(chosen)} />
        <Button submit size="small" icon={Plus} busy={busy !== null && busy === path.trim()} disabled={path.trim() === '' || busy !== null}>
          Add
        </Button>
        {error && <ErrorNotice error={error} advice={errorHelp(error, stores).advice} className={style.refusal} />}
      </form>
    </>
  );
}

interface FinishedRunsProps {
  modelId: string;
  busy: string | null;
  onAdd: (run: TrainingRun) => void;
}

function FinishedRuns({ modelId, busy, onAdd }: FinishedRunsProps) {
  const runs = useTraining((state) => state.runs);
  const adapters = useAdapters((state) => state.adapters);
  const offered = runsToAdd(runs ?? [], modelId, adapters[modelId] ?? []);
  if (offered.length === 0) return null;
  return (
    <ul className={style.runs} aria-label="Finished runs of this model">
      <li className={style.content} aria-hidden>
        Finished runs of this model
      </li>
      {offered.map((run) => (
        <li key={run.id}>
          <span className={style.name} title={run.name}>
            {run.name}
          </span>
          <span className={style.content}>step {run.progress.step}</span>
          <Button
            size="small"
            icon={Plus}
            busy={busy === run.id}
            disabled={busy !== null}
            aria-label={`Add ${run.name}, step ${run.progress.step}`}
            onClick={() => onAdd(run)}
          >
            Add
          </Button>
        </li>
      ))}
    </ul>
  );
}
