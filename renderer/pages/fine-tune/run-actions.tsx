// The buttons of a run.
import { CopyPlus, EllipsisVertical, Pause, PencilLine, Play, Square, Trash2 } from 'lucide-react';
import { useState } from 'react';
import type { TrainingRun } from '../../../main/contract/index.ts';
import { ConfirmDialog, IconButton, Menu } from '../../components/index.ts';
import { navigate } from '../../shell/navigation.ts';
import { useStores } from '../../stores/index.tsx';
import style from './fine-tune.module.css';
import { RenameDialog } from './rename-dialog.tsx';
import { actionsOf, type RunAction } from './run-texts.ts';

const signs: Record<RunAction, { icon: typeof Pause; label: string }> = {
  pause: { icon: Pause, label: 'Pause' },
  resume: { icon: Play, label: 'Resume' },
  stop: { icon: Square, label: 'Stop' },
};

export function RunActions({ run }: { run: TrainingRun }) {
  const { training } = useStores();
  const [asked, setAsked] = useState<RunAction | 'delete' | 'rename' | null>(null);
  const act = (action: RunAction) => void training.getState()[action](run.id);
  const close = (open: boolean) => !open && setAsked(null);
  return (
    <div className={style.actions}>
      {actionsOf(run).map((action) => (
        <IconButton
          key={action}
          label={`${signs[action].label} ${run.name}`}
          icon={signs[action].icon}
          onClick={() => (action === 'stop' ? setAsked('stop') : act(action))}
        />
      ))}
      <Menu
        trigger={<IconButton label={`More of ${run.name}`} icon={EllipsisVertical} />}
        items={[
          { label: 'Rename', icon: PencilLine, run: () => setAsked('rename') },
          { label: 'New run like this', icon: CopyPlus, run: () => navigate('fine-tune', ['new'], { like: run.id }) },
          null,
          { label: 'Delete', icon: Trash2, danger: true, run: () => setAsked('delete') },
        ]}
      />
      <ConfirmDialog
        open={asked === 'stop'}
        onOpenChange={close}
        title={`Stop ${run.name}?`}
        description={`It ends at step ${run.progress.step} of ${run.steps}, with a checkpoint. It can be resumed from there later.`}
        confirm="Stop"
        onConfirm={() => act('stop')}
      />
      <DeleteDialog run={run} open={asked === 'delete'} onOpenChange={close} />
      {asked === 'rename' && <RenameDialog run={run} onClose={() => setAsked(null)} />}
    </div>
  );
}

function DeleteDialog({ run, open, onOpenChange }: { run: TrainingRun; open: boolean; onOpenChange: (open: boolean) => void }) {
  const { training } = useStores();
  const remove = async () => {
    if (await training.getState().delete(run.id)) navigate('fine-tune');
  };
  return (
    <ConfirmDialog
      open={open}
      onOpenChange={onOpenChange}
      title={`Delete ${run.name}?`}
      description={
        <>
          Its folder goes: figures, samples and all checkpoints of {run.progress.step} steps. Exports elsewhere and your data stay. This cannot be undone.
          <code>{run.folder}</code>
        </>
      }
      confirm="Delete"
      danger
      onConfirm={() => void remove()}
    />
  );
}
