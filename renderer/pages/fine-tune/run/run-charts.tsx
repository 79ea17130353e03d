// What changes from step to step: losses, learning rate, gradient norm, speed, memory. One cursor for all.
import { useMemo } from 'react';
import type { TrainingRun } from '../../../../main/contract/index.ts';
import { type ChartStyle, shown } from '../../../charts/live-chart.tsx';
import { format } from '../../../components/index.ts';
import { MIXTURE_BALANCE } from '../new/run-draft.ts';
import { rateText } from '../new/schedule-plot.tsx';
import { ChartCard } from './chart-card.tsx';
import { PADDING, preciseLoss, significant, trainedAndValidated } from './chart-parts.ts';
import { ExpertCountChart } from './expert-count-chart.tsx';
import { PreferenceCharts } from './preference-charts.tsx';
import style from './run.module.css';
import type { RunHistory } from './run-history.ts';

export function RunCharts({ run, history }: { run: TrainingRun; history: RunHistory }) {
  const { id, name, plan } = run;
  const data = useMemo(() => chartData(history), [history]);
  const together = `run ${id}`;
  const { balance = plan.adapter.mixture ? MIXTURE_BALANCE : 0, z = 0 } = plan.routerLosses ?? {};
  const hasRouterLosses = balance > 0 || z > 0;
  return (
    <div className={style.charts}>
      <ChartCard wide title="Loss" data={data.loss} parts={lossParts} {...{ name, together }} />
      <ExpertCountChart history={history} {...{ name, together }} />
      {history.isOfPairs && <PreferenceCharts history={history} {...{ name, together }} />}
      <ChartCard title="Learning rate" data={data.learningRate} parts={rateParts} {...{ name, together }} />
      <ChartCard title="Gradient norm" data={data.gradientNorm} parts={gradientParts} {...{ name, together }} />
      <ChartCard title="Speed" data={data.speed} parts={speedParts} {...{ name, together }} />
      <ChartCard title="Memory" data={data.memory} parts={memoryParts} {...{ name, together }} />
      {hasRouterLosses && <ChartCard wide title="Router losses" data={data.router} parts={routerParts} {...{ name, together }} />}
    </div>
  );
}

function chartData(history: RunHistory) {
  return {
    loss: () => history.columnsOfBoth(({ loss }) => loss),
    learningRate: () => history.columns(['learningRate']),
    gradientNorm: () => history.columns(['gradientNorm']),
    speed: () => history.columns(['tokensPerSecond']),
    memory: () => history.columns(['memoryBytes']),
    router: () => history.columns(['balanceLoss', 'zLoss']),
  };
}

const lossParts = trainedAndValidated(preciseLoss);

/** One line from 0, its figures in words of `text`. */
const oneLine =
  (label: string, name: string, text: (value: number) => string, size: number, incrs?: number[]) =>
  ({ axis, line, colour }: ChartStyle) => ({
    padding: PADDING,
    scales: { y: { range: (_: unknown, __: number, top: number): [number, number] => [0, (top || 1) * 1.08] } },
    series: [{ ...line, label, stroke: colour(name), value: shown(text), spanGaps: true }],
    axes: [{ ...axis, size, values: (_: unknown, ticks: number[]) => ticks.map(text), ...(incrs && { incrs }) }],
  });

const rateParts = oneLine('learning rate', '--series-3', rateText, 62);
const gradientParts = oneLine('gradient norm, before clipping', '--series-4', significant, 52);
const speedParts = oneLine('tokens a second', '--series-1', format.count, 52);
/** MiB, 2 MiB, 4 MiB ... */
const powersOfTwo = Array.from({ length: 30 }, (_, index) => 2 ** (20 + index));
const memoryParts = oneLine('of the trainer’s process', '--series-2', format.bytes, 66, powersOfTwo);

function routerParts({ axis, line, colour }: ChartStyle) {
  return {
    padding: PADDING,
    scales: {},
    series: [
      { ...line, label: 'load balance', stroke: colour('--series-3'), value: shown(preciseLoss) },
      { ...line, label: 'z', scale: 'z', stroke: colour('--series-4'), dash: [6, 3], value: shown(preciseLoss) },
    ],
    axes: [
      { ...axis, size: 52 },
      { ...axis, scale: 'z', side: 1 as const, size: 52, grid: { show: false } },
    ],
  };
}
