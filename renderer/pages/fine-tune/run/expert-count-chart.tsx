// Of a run that draws how many experts a token uses: the validation loss with each number of them.
import { useMemo } from 'react';
import { type ChartStyle, shown } from '../../../charts/live-chart.tsx';
import { ChartCard } from './chart-card.tsx';
import { lineOf, PADDING, preciseLoss } from './chart-parts.ts';
import type { RunHistory } from './run-history.ts';

interface ExpertCountChartProps {
  history: RunHistory;
  /** of exported files */
  name: string;
  /** charts of the same name have one cursor */
  together: string;
}

export function ExpertCountChart({ history, ...card }: ExpertCountChartProps) {
  const counts = history.usedCounts.join(' '); // the same from one rendering to the next
  const { data, parts } = useMemo(() => {
    const numbers = counts.split(' ').map(Number);
    return { data: () => history.usedCountColumns(numbers), parts: partsOf(numbers) };
  }, [history, counts]);
  if (counts === '') return null;
  return <ChartCard wide title="Validation loss by experts of a token" data={data} parts={parts} {...card} />;
}

const partsOf =
  (counts: readonly number[]) =>
  ({ axis, line, colour }: ChartStyle) => ({
    padding: PADDING,
    scales: {},
    series: counts.map((count, index) => {
      const { stroke, ...look } = lineOf(index, colour);
      const label = count === 1 ? '1 expert' : `${count} experts`;
      return { ...line, ...look, stroke, label, value: shown(preciseLoss), spanGaps: true, points: { show: true, size: 5, fill: stroke } };
    }),
    axes: [{ ...axis, size: 52 }],
  });
