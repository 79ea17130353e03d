// Of a run on preference pairs: how many it has the right way round, by how much, and where the rewards of both answers go.
import { useMemo } from 'react';
import { type ChartStyle, shown } from '../../../charts/live-chart.tsx';
import { format } from '../../../components/index.ts';
import { ChartCard } from './chart-card.tsx';
import { PADDING, significant, trainedAndValidated } from './chart-parts.ts';
import type { RunHistory } from './run-history.ts';

interface PreferenceChartsProps {
  history: RunHistory;
  /** of exported files */
  name: string;
  /** charts of the same name have one cursor */
  together: string;
}

export function PreferenceCharts({ history, ...card }: PreferenceChartsProps) {
  const data = useMemo(
    () => ({
      accuracy: () => history.columnsOfBoth(({ preference }) => preference?.accuracy),
      margin: () => history.columnsOfBoth(({ preference }) => preference?.margin),
      rewards: () => history.rewardColumns(),
    }),
    [history],
  );
  return (
    <>
      <ChartCard title="Pairs the right way round" data={data.accuracy} parts={accuracyParts} {...card} />
      <ChartCard title="Margin of rewards" data={data.margin} parts={marginParts} {...card} />
      <ChartCard wide title="Rewards" data={data.rewards} parts={rewardParts} {...card} />
    </>
  );
}

const accuracyParts = (look: ChartStyle) => {
  const parts = trainedAndValidated(format.percent, { range: [0, 1.04] })(look);
  return { ...parts, axes: [{ ...look.axis, size: 52, incrs: [0.25], values: (_: unknown, ticks: number[]) => ticks.map(format.percent) }] };
};
const marginParts = trainedAndValidated(significant);

function rewardParts({ axis, line, colour }: ChartStyle) {
  return {
    padding: PADDING,
    scales: {},
    series: [
      { ...line, label: 'chosen answers', stroke: colour('--series-1'), value: shown(significant), spanGaps: true },
      { ...line, label: 'rejected answers', stroke: colour('--series-4'), value: shown(significant), spanGaps: true, dash: [6, 3] },
    ],
    axes: [{ ...axis, size: 52 }],
  };
}
