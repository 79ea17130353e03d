// Checkpoints of a run, the newest first: what each one answers, and what can be made of it.
import { Save, Share } from 'lucide-react';
import { useState } from 'react';
import type { RunCheckpoint, TrainingRun } from '../../../../main/contract/index.ts';
import { Badge, Button, Card, EmptyState, format } from '../../../components/index.ts';
import { lossText } from '../run-texts.ts';
import { ExportDialog } from './export-dialog.tsx';
import style from './run.module.css';
import { Samples } from './samples.tsx';
import { useCheckpoints } from './use-checkpoints.ts';

export function Checkpoints({ run }: { run: TrainingRun }) {
  const checkpoints = useCheckpoints(run.id);
  const [exported, setExported] = useState<RunCheckpoint | null>(null);
  if (checkpoints === null) return <p className={style.waiting}>Asking for the checkpoints…</p>;
  if (checkpoints.length === 0) {
    return (
      <EmptyState icon={Save} title="No checkpoint yet">
        {whenText(run)} A checkpoint is a place to go on from, to ask, and to export.
      </EmptyState>
    );
  }
  const best = bestOf(checkpoints);
  return (
    <div className={style.view}>
      <ol className={style.checkpoints} aria-label="Checkpoints">
        {checkpoints.map((checkpoint) => (
          <li key={checkpoint.step}>
            <Card className={style.checkpoint}>
              <CheckpointHead checkpoint={checkpoint} isBest={checkpoint === best} onExport={() => setExported(checkpoint)} />
              <Samples run={run} checkpoint={checkpoint} />
            </Card>
          </li>
        ))}
      </ol>
      {exported && <ExportDialog run={run} step={exported.step} onClose={() => setExported(null)} />}
    </div>
  );
}

function whenText({ plan: { saveEvery = 0 }, steps }: TrainingRun): string {
  return saveEvery > 0 && saveEvery < steps
    ? `The first one is written at step ${saveEvery}, and when you pause.`
    : 'One is written at the end, and when you pause.';
}

/** The one with the least validation loss; null: fewer than two have one. */
function bestOf(checkpoints: readonly RunCheckpoint[]): RunCheckpoint | null {
  const judged = checkpoints.filter(({ validationLoss }) => validationLoss !== null);
  if (judged.length < 2) return null;
  return judged.reduce((best, one) => ((one.validationLoss ?? 0) < (best.validationLoss ?? 0) ? one : best));
}

function CheckpointHead({ checkpoint, isBest, onExport }: { checkpoint: RunCheckpoint; isBest: boolean; onExport: () => void }) {
  const { step, bytes, savedAt, validationLoss, path } = checkpoint;
  return (
    <header className={style.checkpointHead}>
      <h2>Step {format.exact(step)}</h2>
      {isBest && <Badge tone="good">least validation loss</Badge>}
      <span className={style.waiting} title={String(validationLoss ?? 'not measured at this step')}>
        validation loss {lossText(validationLoss)}
      </span>
      <span className={style.waiting} title={path}>
        {format.bytes(bytes)} · {new Date(savedAt).toLocaleTimeString()}
      </span>
      <span className={style.spring} />
      <Button icon={Share} size="small" onClick={onExport} aria-label={`Export step ${step}`}>
        Export
      </Button>
    </header>
  );
}
