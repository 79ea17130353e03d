// Every run: what it does now, how far it is, and what can be done with it.
import { Columns2, Plus, SlidersVertical } from 'lucide-react';
import type { TrainingRun } from '../../../main/contract/index.ts';
import { Badge, Button, Card, EmptyState, ErrorNotice, Figures, format, PageFrame, ProgressBar } from '../../components/index.ts';
import { address, navigate } from '../../shell/navigation.ts';
import { useModels } from '../../stores/index.tsx';
import { queuedRuns } from '../../stores/training.ts';
import style from './fine-tune.module.css';
import { NEW_RUN_KEYS, openNewRun, usePageCommands } from './page-commands.ts';
import { QueuePlace } from './queue-place.tsx';
import { RunActions } from './run-actions.tsx';
import { fractionOf, inOrder, lossText, progressText, stateText, stateTones } from './run-texts.ts';

export function RunList({ runs }: { runs: readonly TrainingRun[] | null }) {
  usePageCommands();
  const queue = queuedRuns(runs ?? []).map(({ id }) => id);
  const newRun = (
    <Button icon={Plus} variant="primary" keys={NEW_RUN_KEYS} onClick={openNewRun}>
      New run
    </Button>
  );
  const actions = runs && runs.length > 0 && (
    <>
      {runs.length > 1 && (
        <Button icon={Columns2} onClick={() => navigate('fine-tune', ['compare'])} hint="Loss curves over each other, and the settings that differ">
          Compare runs
        </Button>
      )}
      {newRun}
    </>
  );
  return (
    <PageFrame
      title="Fine-tune"
      hint="LoRA on attention, experts and routers, trained on the GGUF that you chat with. One run trains at a time."
      actions={actions}
    >
      {runs === null && <p className={style.note}>Asking for the runs…</p>}
      {runs?.length === 0 && (
        <EmptyState icon={SlidersVertical} title="Nothing was fine-tuned yet" action={newRun}>
          A run teaches a model from examples of yours: chats, questions with answers, or plain text. It appears here with its live loss, the load and the
          movement of every expert, and checkpoints that answer your own questions. What it learns is an adapter: the model itself stays as it is.
        </EmptyState>
      )}
      <ul className={style.runs} aria-label="Runs">
        {inOrder(runs ?? []).map((run) => (
          <li key={run.id}>
            <RunCard run={run} queue={queue} />
          </li>
        ))}
      </ul>
    </PageFrame>
  );
}

/** queue: ids of what waits, the next one first */
function RunCard({ run, queue }: { run: TrainingRun; queue: readonly string[] }) {
  const model = useModels((state) => state.models?.find(({ id }) => id === run.modelId)?.name);
  const { progress } = run;
  return (
    <Card className={style.run}>
      <header className={style.runHead}>
        <h2 className={style.runName}>
          <a href={address('fine-tune', ['run', run.id])}>{run.name}</a>
        </h2>
        <Badge tone={stateTones[run.state]}>{stateText(run)}</Badge>
        <span className={style.note}>{model ?? run.modelId}</span>
        <span className={style.spring} />
        {queue.length > 1 && run.state === 'queued' && <QueuePlace run={run} place={queue.indexOf(run.id)} length={queue.length} />}
        <RunActions run={run} />
      </header>
      <RunProgressBar run={run} />
      {run.error && <ErrorNotice error={run.error} />}
      <Figures
        figures={[
          { label: 'training loss', value: lossText(progress.loss), title: String(progress.loss ?? 'none yet') },
          { label: 'validation loss', value: lossText(progress.validationLoss), title: String(progress.validationLoss ?? 'none yet') },
          {
            label: 'parameters trained',
            value: run.trained ? format.count(run.trained.parameters) : '–',
            title: run.trained ? format.exact(run.trained.parameters) : '',
          },
          {
            label: run.startedAt === null ? 'made' : 'begun',
            value: agoText(run.startedAt ?? run.createdAt),
            title: new Date(run.startedAt ?? run.createdAt).toLocaleString(),
          },
        ]}
      />
    </Card>
  );
}

const agoText = (time: number) => {
  const text = format.ago(time);
  return text === 'now' ? 'just now' : /^\d+ (min|h|d)$/.test(text) ? `${text} ago` : text;
};

export function RunProgressBar({ run }: { run: TrainingRun }) {
  const text = progressText(run);
  return (
    <div className={style.progress}>
      <ProgressBar label={`Progress of ${run.name}`} fraction={fractionOf(run)} text={text} />
      <span>{text}</span>
    </div>
  );
}
