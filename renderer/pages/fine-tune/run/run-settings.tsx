// What the run was told, as `moebius train --config` would be.
import { Copy } from 'lucide-react';
import type { TrainingRun } from '../../../../main/contract/index.ts';
import { Button, type Column, ErrorNotice, Section, Table } from '../../../components/index.ts';
import { useStores } from '../../../stores/index.tsx';
import style from './run.module.css';
import { type Setting, settingsOf } from './settings-of.ts';

const columns: Column<Setting>[] = [
  { id: 'name', header: 'Setting', cell: ({ name }) => <code>{name}</code>, sort: ({ name }) => name, width: '40%' },
  { id: 'value', header: 'Value', cell: ({ value }) => <span className={style.said}>{value}</span> },
];

export function RunSettings({ run }: { run: TrainingRun }) {
  const { notices } = useStores();
  const job = JSON.stringify({ ...run.plan, model: run.modelPath, folder: run.folder }, null, 2);
  const copy = () =>
    navigator.clipboard.writeText(job).then(
      () => notices.getState().show({ tone: 'good', title: 'The job is on the clipboard: “moebius train --config FILE” takes it.' }),
      (error: unknown) => notices.getState().error(error),
    );
  return (
    <div className={style.view}>
      {run.error && <ErrorNotice error={run.error} />}
      <Section
        title="Settings"
        hint={
          <>
            In <code>{run.folder}</code>
          </>
        }
        actions={
          <Button icon={Copy} onClick={() => void copy()} hint="For the command line: moebius train --config">
            Copy as a job
          </Button>
        }
      >
        <Table className={style.settings} caption="Settings of the run" columns={columns} rows={settingsOf(run.plan)} rowKey={({ name }) => name} />
      </Section>
    </div>
  );
}
