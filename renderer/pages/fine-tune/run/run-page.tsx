// One run: what happens in it, what it left behind, and whether it did any good.
import { Pause, Play, SlidersVertical } from 'lucide-react';
import { useMemo } from 'react';
import type { TrainingRun } from '../../../../main/contract/index.ts';
import { Badge, Button, EmptyState, ErrorNotice, Tabs } from '../../../components/index.ts';
import { address, navigate } from '../../../shell/navigation.ts';
import { useCommands, useModels, useStores } from '../../../stores/index.tsx';
import { usePageCommands } from '../page-commands.ts';
import { RunActions } from '../run-actions.tsx';
import { RunProgressBar } from '../run-list.tsx';
import { actionsOf, stateText, stateTones } from '../run-texts.ts';
import { BeforeAfter } from './before-after.tsx';
import { Checkpoints } from './checkpoints.tsx';
import style from './run.module.css';
import { RunCharts } from './run-charts.tsx';
import { RunExperts } from './run-experts.tsx';
import { Guardian, Moved, RunData, RunFigures } from './run-figures.tsx';
import type { RunHistory } from './run-history.ts';
import { RunSettings } from './run-settings.tsx';
import { useRunHistory } from './use-run-history.ts';

export function RunPage({ id, view, runs }: { id: string; view: string; runs: readonly TrainingRun[] | null }) {
  usePageCommands();
  const run = runs?.find((one) => one.id === id);
  if (runs === null) return null;
  if (!run) {
    return (
      <EmptyState icon={SlidersVertical} title="There is no such run" action={<Button onClick={() => navigate('fine-tune')}>All runs</Button>}>
        It was deleted, or the address is of another data folder.
      </EmptyState>
    );
  }
  return <Run run={run} view={view} />;
}

const views = ['progress', 'checkpoints', 'before-after', 'settings'] as const;

function Run({ run, view }: { run: TrainingRun; view: string }) {
  const { history, version } = useRunHistory(run.id);
  useRunCommands(run);
  const shown = views.find((name) => name === view) ?? 'progress';
  const tabs = [
    { id: 'progress', label: 'Progress', content: <Progress run={run} history={history} version={version} /> },
    { id: 'checkpoints', label: 'Checkpoints', content: <Checkpoints run={run} /> },
    { id: 'before-after', label: 'Before and after', content: <BeforeAfter run={run} /> },
    { id: 'settings', label: 'Settings', content: <RunSettings run={run} /> },
  ];
  return (
    <div className={style.page}>
      <RunHead run={run} />
      <Tabs label="Views of the run" tabs={tabs} value={shown} onChange={(next) => navigate('fine-tune', ['run', run.id, next])} />
    </div>
  );
}

function RunHead({ run }: { run: TrainingRun }) {
  const model = useModels((state) => state.models?.find(({ id }) => id === run.modelId)?.name);
  return (
    <header className={style.head}>
      <div className={style.title}>
        <a href={address('fine-tune')}>All runs</a>
        <h1>{run.name}</h1>
        <Badge tone={stateTones[run.state]}>{stateText(run)}</Badge>
        <span className={style.waiting}>{model ?? run.modelId}</span>
        <span className={style.spring} />
        <RunActions run={run} />
      </div>
      <RunProgressBar run={run} />
    </header>
  );
}

function useRunCommands(run: TrainingRun): void {
  const { training } = useStores();
  const { id, name, state } = run;
  useCommands(
    useMemo(() => {
      const possible = actionsOf({ state });
      const go = (action: 'pause' | 'resume') => () => void training.getState()[action](id);
      return [
        ...(possible.includes('pause') ? [{ id: 'tune.pause', title: `Pause ${name}`, group: 'Fine-tune', icon: Pause, keys: 'alt+p', run: go('pause') }] : []),
        ...(possible.includes('resume')
          ? [{ id: 'tune.resume', title: `Resume ${name}`, group: 'Fine-tune', icon: Play, keys: 'alt+p', run: go('resume') }]
          : []),
      ];
    }, [training, id, name, state]),
  );
}

function Progress({ run, history, version }: { run: TrainingRun; history: RunHistory; version: number }) {
  return (
    <div className={style.view}>
      {run.error && <ErrorNotice error={run.error} />}
      <RunFigures run={run} history={history} />
      <RunData history={history} />
      <Moved run={run} />
      <Guardian history={history} />
      <RunCharts run={run} history={history} />
      <RunExperts name={run.name} history={history} version={version} />
    </div>
  );
}
