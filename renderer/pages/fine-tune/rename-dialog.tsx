import { type FormEvent, useState } from 'react';
import type { TrainingRun } from '../../../main/contract/index.ts';
import { Button, Dialog, Field, TextInput } from '../../components/index.ts';
import { useStores } from '../../stores/index.tsx';

const FORM = 'rename-run';

export function RenameDialog({ run, onClose }: { run: TrainingRun; onClose: () => void }) {
  const { training } = useStores();
  const [name, setName] = useState(run.name);
  const rename = (event: FormEvent) => {
    event.preventDefault();
    void training.getState().rename(run.id, name.trim());
    onClose();
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button submit variant="primary" form={FORM} disabled={name.trim() === ''}>
        Rename
      </Button>
    </>
  );
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title={`Rename ${run.name}`} width="small" footer={footer}>
      <form id={FORM} onSubmit={rename}>
        <Field label="Name">
          {(control) => <TextInput {...control} autoFocus maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
      </form>
    </Dialog>
  );
}
