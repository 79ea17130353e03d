// Several runs: their losses over each other, and the settings in which they differ.
import { Columns2 } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import type { Result, RunMetrics, SettingDifference, TrainingRun } from '../../../../main/contract/index.ts';
import type { ChartStyle } from '../../../charts/live-chart.tsx';
import { shown } from '../../../charts/live-chart.tsx';
import { Button, Checkbox, type Column, EmptyState, PageFrame, Section, Segmented, Table } from '../../../components/index.ts';
import { address, navigate } from '../../../shell/navigation.ts';
import { useStores } from '../../../stores/index.tsx';
import { usePageCommands } from '../page-commands.ts';
import { ChartCard } from '../run/chart-card.tsx';
import { lineOf, PADDING, preciseLoss } from '../run/chart-parts.ts';
import { settingText } from '../run/settings-of.ts';
import { lossText } from '../run-texts.ts';
import style from './compare.module.css';
import { type CurveKind, curves, toggled } from './curves.ts';

const MOST = 8;

/** `ids`: of the address; none: the two newest */
export function CompareRuns({ runs, ids }: { runs: readonly TrainingRun[] | null; ids: readonly string[] }) {
  usePageCommands();
  const known = (runs ?? []).filter(({ id }) => ids.includes(id));
  const chosen = known.length > 0 ? known : (runs ?? []).filter(({ progress }) => progress.step > 0).slice(0, 2);
  if (runs === null) return null;
  if (runs.length < 2) {
    return (
      <EmptyState icon={Columns2} title="Two runs are needed" action={<Button onClick={() => navigate('fine-tune', ['new'])}>New run</Button>}>
        Once there are two, their loss curves stand over each other here, with a table of the settings in which they differ.
      </EmptyState>
    );
  }
  const choose = (id: string) =>
    navigate('fine-tune', ['compare'], {
      runs: toggled(
        chosen.map((run) => run.id),
        id,
      )
        .slice(0, MOST)
        .join(','),
    });
  return (
    <PageFrame title="Compare runs" hint={<a href={address('fine-tune')}>All runs</a>}>
      <fieldset className={style.choice}>
        <legend>Runs, at most {MOST}</legend>
        {runs.map((run) => (
          <Checkbox key={run.id} label={run.name} checked={chosen.includes(run)} onChange={() => choose(run.id)} />
        ))}
      </fieldset>
      {chosen.length > 1 ? <Comparison key={chosen.map(({ id }) => id).join()} runs={chosen} /> : <p>Choose two or more.</p>}
    </PageFrame>
  );
}

type Compared = Result<'training.compare'>;

function Comparison({ runs }: { runs: readonly TrainingRun[] }) {
  const { client, notices } = useStores();
  const [compared, setCompared] = useState<Compared | null>(null);
  const ids = runs.map(({ id }) => id).join();
  const steps = runs.map(({ progress }) => progress.step).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: `steps` says that there is more to draw
  useEffect(() => {
    let over = false;
    client.call('training.compare', { ids: ids.split(',') }).then(
      (found) => !over && setCompared(found),
      (error: unknown) => !over && notices.getState().error(error),
    );
    return () => {
      over = true;
    };
  }, [client, notices, ids, steps]);
  if (compared === null) return <p>Asking for their figures…</p>;
  return (
    <>
      <Curves runs={compared.runs} metrics={compared.metrics} />
      <Differences runs={compared.runs} metrics={compared.metrics} differences={compared.differences} />
    </>
  );
}

const kinds: { value: CurveKind; label: string }[] = [
  { value: 'training', label: 'Training loss' },
  { value: 'validation', label: 'Validation loss' },
];

function Curves({ runs, metrics }: { runs: readonly TrainingRun[]; metrics: readonly RunMetrics[] }) {
  const [kind, setKind] = useState<CurveKind>('training');
  const data = useMemo(() => {
    const columns = curves(metrics, kind);
    return () => columns;
  }, [metrics, kind]);
  const names = runs.map(({ name }) => name).join('\n');
  const parts = useMemo(() => {
    return ({ axis, line, colour }: ChartStyle) => ({
      padding: PADDING,
      scales: {},
      series: names.split('\n').map((label, index) => ({ ...line, ...lineOf(index, colour), label, spanGaps: true, value: shown(preciseLoss) })),
      axes: [{ ...axis, size: 52 }],
    });
  }, [names]);
  return (
    <Section title="Curves" actions={<Segmented label="Curve" value={kind} onChange={setKind} options={kinds} />}>
      <ChartCard wide title={kind === 'training' ? 'Training loss' : 'Validation loss'} name="compared runs" data={data} parts={parts} together="compare" />
    </Section>
  );
}

interface DifferencesProps {
  runs: readonly TrainingRun[];
  metrics: readonly RunMetrics[];
  differences: readonly SettingDifference[];
}

function Differences({ runs, metrics, differences }: DifferencesProps) {
  const results = [
    { setting: 'steps done', values: runs.map(({ progress }) => String(progress.step)) },
    { setting: 'last training loss', values: metrics.map(({ points }) => lossText(points.at(-1)?.loss)) },
    { setting: 'last validation loss', values: metrics.map(({ validations }) => lossText(validations.at(-1)?.loss)) },
  ];
  const rows = [
    ...results,
    ...differences.map(({ setting, values }) => ({ setting, values: values.map((value) => (value === null ? 'default' : settingText(value))) })),
  ];
  const columns: Column<(typeof rows)[number]>[] = [
    { id: 'setting', header: 'Setting', cell: ({ setting }) => setting },
    ...runs.map((run, index) => ({ id: run.id, header: run.name, cell: (row: (typeof rows)[number]) => row.values[index] ?? '–' })),
  ];
  return (
    <Section title="Results and settings that differ" hint={differences.length === 0 ? 'All settings are the same.' : undefined}>
      <Table caption="Results and settings that differ" columns={columns} rows={rows} rowKey={({ setting }) => setting} />
    </Section>
  );
}
