// Makes files of a checkpoint: an adapter for llama.cpp, one for PEFT, or a model with the adapter worked into it.
import { useState } from 'react';
import { type ErrorBody, type ExportFormat, type TrainingRun, toErrorBody } from '../../../../main/contract/index.ts';
import { Button, Checkbox, Dialog, ErrorNotice, Field, format as formatted, Select, TextInput } from '../../../components/index.ts';
import { errorHelp } from '../../../stores/error-help.ts';
import { useSettings, useStores } from '../../../stores/index.tsx';
import { wholeParts } from '../new/adapter-parts.ts';
import { TicketProgress } from '../ticket-progress.tsx';
import { useTicket } from '../use-ticket.ts';
import { exportPath, typesOf } from './export-choices.ts';
import style from './run.module.css';

const formats: { value: ExportFormat; label: string; hint: string }[] = [
  { value: 'adapter', label: 'Adapter, GGUF', hint: 'llama.cpp loads it beside the base' },
  { value: 'merged', label: 'Merged model, GGUF', hint: 'one file, as large as the base' },
  { value: 'peft', label: 'Adapter, PEFT', hint: 'a folder for Hugging Face' },
];

export function ExportDialog({ run, step, onClose }: { run: TrainingRun; step: number; onClose: () => void }) {
  const stores = useStores();
  const folder = useSettings((state) => state.settings?.downloadFolder) ?? run.folder;
  const [format, setFormat] = useState<ExportFormat>('adapter');
  const [type, setType] = useState<string>();
  const [baseName, setBaseName] = useState('');
  const [isPairsOnly, setPairsOnly] = useState(false);
  const [typed, setTyped] = useState<string>();
  const [error, setError] = useState<ErrorBody | null>(null);
  const ticket = useTicket();
  const whole = wholeParts.filter(({ part }) => run.plan.adapter[part]).map(({ name }) => name);
  const leavesOut = whole.length > 0 && format !== 'merged';
  const path = typed ?? exportPath(folder, run.name, step, format);
  const write = async () => {
    setError(null);
    try {
      const how = {
        ...(type !== undefined && { type }),
        ...(format === 'peft' && baseName !== '' && { baseName }),
        ...(leavesOut && isPairsOnly && { pairsOnly: true }),
      };
      const written = await ticket.run((of) => stores.client.call('training.export', { id: run.id, step, format, path: path.trim(), ticket: of, ...how }));
      stores.notices
        .getState()
        .show({ tone: 'good', title: `Written: ${written.path}, ${formatted.bytes(written.bytes)}.`, actions: followUps(stores, format, written.path) });
      onClose();
    } catch (thrown) {
      const body = toErrorBody(thrown);
      if (body.code !== 'cancelled') setError(body);
    }
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button variant="primary" busy={ticket.fraction !== null} disabled={path.trim() === ''} onClick={() => void write()}>
        Export
      </Button>
    </>
  );
  return (
    <Dialog open onOpenChange={(open) => !open && onClose()} title={`Export step ${step} of ${run.name}`} footer={footer}>
      <Field label="What" hint={formats.find(({ value }) => value === format)?.hint}>
        {(control) => (
          <Select
            {...control}
            value={format}
            onChange={(value) => {
              setFormat(value);
              setType(undefined);
            }}
            options={formats}
          />
        )}
      </Field>
      {format === 'peft' ? (
        <Field label="Name of the base" hint="as Hugging Face knows it: what PEFT loads it by">
          {(control) => <TextInput {...control} value={baseName} onChange={(event) => setBaseName(event.target.value)} placeholder="Qwen/Qwen3-30B-A3B" />}
        </Field>
      ) : (
        <Field label="Numbers" hint={format === 'merged' ? 'of the weights that take a type; norms and routers keep theirs' : undefined}>
          {(control) => <Select {...control} value={type ?? typesOf(format)[0]?.value} onChange={setType} options={typesOf(format)} />}
        </Field>
      )}
      {leavesOut && (
        <Checkbox label={`Without ${whole.join(', ')}`} hint="trained whole: only a merged model holds them" checked={isPairsOnly} onChange={setPairsOnly} />
      )}
      <Field label={format === 'peft' ? 'Folder' : 'File'}>
        {(control) => <TextInput {...control} mono value={path} onChange={(event) => setTyped(event.target.value)} />}
      </Field>
      <TicketProgress ticket={ticket} what="Writing" />
      {error && <ErrorNotice className={style.dialogError} error={error} advice={errorHelp(error, stores).advice} />}
    </Dialog>
  );
}

/** What people do next with the file. */
function followUps({ client, notices }: ReturnType<typeof useStores>, format: ExportFormat, path: string) {
  const tell = (title: string) => () => notices.getState().show({ tone: 'good', title });
  const fail = (error: unknown) => notices.getState().error(error);
  if (format === 'merged') {
    return [{ label: 'Add it to Models', run: () => void client.call('models.add', { path }).then(({ name }) => tell(`${name} was added.`)(), fail) }];
  }
  return [];
}
