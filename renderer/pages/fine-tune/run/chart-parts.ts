// What charts over the steps of a run have in common.
import type uPlot from 'uplot';
import { type ChartStyle, shown } from '../../../charts/live-chart.tsx';

/** room for the last step's number */
export const PADDING: [number, number, number, number] = [8, 16, 0, 0];

export const preciseLoss = (value: number) => value.toFixed(4);
export const significant = (value: number) => String(Number(value.toPrecision(3)));

const dashes = [undefined, [8, 4], [2, 3], [10, 3, 2, 3]];

/** Of one of several lines: four colours, each solid first and then dashed; the dashes of neighbours differ, too. */
export function lineOf(index: number, colour: ChartStyle['colour']): { stroke: string; dash?: number[] } {
  const dash = dashes[Math.floor(index / 4) + (index % 4)];
  return { stroke: colour(`--series-${(index % 4) + 1}`), ...(dash && { dash }) };
}

/** Two lines, of training and, dashed, of validation; their figures in words of `text`. */
export const trainedAndValidated =
  (text: (value: number) => string, scale: uPlot.Scale = {}) =>
  ({ axis, line, colour }: ChartStyle) => ({
    padding: PADDING,
    scales: { y: scale },
    series: [
      { ...line, label: 'training', stroke: colour('--series-1'), value: shown(text), spanGaps: true },
      {
        ...line,
        label: 'validation',
        stroke: colour('--series-2'),
        value: shown(text),
        spanGaps: true,
        dash: [6, 3],
        points: { show: true, size: 6, fill: colour('--series-2') },
      },
    ],
    axes: [{ ...axis, size: 52 }],
  });
