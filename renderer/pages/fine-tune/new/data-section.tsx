// The examples: files, how their rows are to be understood, what is learnt of them, and what was found in them.
import { FilePlus2, X } from 'lucide-react';
import { type DragEvent, type FormEvent, useState } from 'react';
import { UnsureFormat } from '../../../../main/contract/index.ts';
import { Button, classes, ErrorNotice, Field, IconButton, ProgressBar, Section, TextInput } from '../../../components/index.ts';
import { useStores } from '../../../stores/index.tsx';
import { DataFields } from './data-fields.tsx';
import { DatasetReportView } from './dataset-report.tsx';
import { FormatFields } from './format-fields.tsx';
import style from './new-run.module.css';
import { useRunDraft } from './run-draft.ts';
import type { Preview } from './use-preview.ts';

export function DataSection({ preview, error }: { preview: Preview; error: string | undefined }) {
  const { report, fraction } = preview;
  return (
    <Section title="Data" hint="JSON Lines, JSON, CSV, TSV, Parquet or plain text. Several files are one dataset. Nothing leaves this machine.">
      <DropZone>
        <Files />
        <AddFile error={error} />
      </DropZone>
      <FormatFields unsure={unsureOf(preview)} />
      {fraction !== null && <Reading fraction={fraction} />}
      {preview.error && preview.error.code !== 'dataset.format-unsure' && <ErrorNotice error={preview.error} />}
      {report && <DatasetReportView report={report} />}
      <DataFields />
    </Section>
  );
}

/** What an unclear format looks like; null: it is clear, or not known yet. */
function unsureOf({ error }: Preview): UnsureFormat | null {
  return error?.code === 'dataset.format-unsure' ? (UnsureFormat.safeParse(error.details).data ?? null) : null;
}

function Reading({ fraction }: { fraction: number }) {
  const text = fraction === 0 ? 'Reading the data' : `Reading the data, ${Math.round(fraction * 100)}%`;
  return (
    <div className={classes(style.reading, style.late)}>
      <ProgressBar label="Data read" fraction={fraction === 0 ? undefined : fraction} text={text} />
      <span>{text}</span>
    </div>
  );
}

function Files() {
  const files = useRunDraft((state) => state.draft.plan.data.files);
  const changeData = useRunDraft((state) => state.changeData);
  if (files.length === 0) return null;
  return (
    <ul className={style.files} aria-label="Files">
      {files.map((file) => (
        <li key={file}>
          <code>{file}</code>
          <IconButton label={`Take ${file} out`} icon={X} size="small" onClick={() => changeData({ files: files.filter((other) => other !== file) })} />
        </li>
      ))}
    </ul>
  );
}

function AddFile({ error }: { error: string | undefined }) {
  const [path, setPath] = useState('');
  const add = (event: FormEvent) => {
    event.preventDefault();
    addFiles([path.trim()]);
    setPath('');
  };
  return (
    <form onSubmit={add}>
      <Field label="Path of a file" error={error}>
        {(control) => (
          <div className={style.inline}>
            <TextInput {...control} mono placeholder="/data/examples.jsonl" value={path} onChange={(event) => setPath(event.target.value)} />
            <Button submit icon={FilePlus2} disabled={path.trim() === ''}>
              Add
            </Button>
          </div>
        )}
      </Field>
    </form>
  );
}

function addFiles(paths: readonly string[]): void {
  const { draft, changeData } = useRunDraft.getState();
  const { files } = draft.plan.data;
  changeData({ files: [...files, ...paths.filter((path) => path !== '' && !files.includes(path))] });
}

/** Only the desktop window knows where a dropped file is. */
function DropZone({ children }: { children: React.ReactNode }) {
  const { notices } = useStores();
  const [over, setOver] = useState(false);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const { pathOfFile } = window.moebius ?? {};
    if (pathOfFile) addFiles([...event.dataTransfer.files].map((file) => pathOfFile(file)));
    else notices.getState().show({ tone: 'info', title: 'A browser does not tell where a dropped file is.', text: 'Write its path into the field.' });
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a short cut of the field inside
    <div
      className={classes(style.drop, over && style.over)}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      {children}
    </div>
  );
}
