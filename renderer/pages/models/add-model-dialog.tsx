// Adds a file that is already on this machine.
import { type FormEvent, useState } from 'react';
import { type ErrorBody, toErrorBody } from '../../../main/contract/index.ts';
import { Button, ChooseFile, Dialog, Field, TextInput } from '../../components/index.ts';
import { useStores } from '../../stores/index.tsx';
import style from './models.module.css';

const FORM = 'add-model';

export function AddModelDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const { client, notices } = useStores();
  const [path, setPath] = useState('');
  const [error, setError] = useState<ErrorBody | null>(null);
  const [busy, setBusy] = useState(false);
  const add = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const card = await client.call('models.add', { path: path.trim() });
      notices
        .getState()
        .show(card.problem ? { tone: 'bad', title: `${card.name} was added, but it cannot be used.` } : { tone: 'good', title: `${card.name} was added.` });
      setPath('');
      setError(null);
      onOpenChange(false);
    } catch (thrown) {
      setError(toErrorBody(thrown));
    } finally {
      setBusy(false);
    }
  };
  const footer = (
    <>
      <Button onClick={() => onOpenChange(false)}>Cancel</Button>
      <Button submit variant="primary" form={FORM} busy={busy} disabled={path.trim() === ''}>
        Add
      </Button>
    </>
  );
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Add a model file"
      footer={footer}
      description="The file stays where it is. Of a split model any part will do."
    >
      <form id={FORM} onSubmit={(event) => void add(event)}>
        <Field label="Path of a GGUF file" error={error?.message}>
          {(control) => (
            <div className={style.inline}>
              <TextInput {...control} mono autoFocus value={path} onChange={(event) => setPath(event.target.value)} placeholder="/models/name.gguf" />
              <ChooseFile label="Choose a GGUF file" onChoose={setPath} />
            </div>
          )}
        </Field>
      </form>
    </Dialog>
  );
}
