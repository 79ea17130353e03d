// Hit rate and disk reads over time, with a line at every change of RAM or policy: before and after.
import { useCallback } from 'react';
import type uPlot from 'uplot';
import { type ChartParts, type ChartStyle, LiveChart, shown } from '../../charts/live-chart.tsx';
import { format } from '../../components/index.ts';
import type { PlacementHistory } from './placement-history.ts';

export function PlacementChart({ history }: { history: PlacementHistory }) {
  const data = useCallback(() => history.series, [history]);
  const parts = useCallback((look: ChartStyle) => chartParts(look, history), [history]);
  return <LiveChart label="Hit rate and disk reads over time; the figures above are the current ones" data={data} parts={parts} />;
}

const speed = (rate: number) => `${format.bytes(rate)}/s`;

function chartParts({ axis, line, colour }: ChartStyle, history: PlacementHistory) {
  return {
    padding: [16, 0, 0, 0],
    scales: {
      share: { range: [0, 1] },
      rate: { range: (_: unknown, __: number, top: number): [number, number] => [0, Math.max(1e6, (top ?? 0) * 1.1)] },
    },
    series: [
      { ...line, label: 'hits', scale: 'share', stroke: colour('--series-1'), value: shown(format.percent), spanGaps: true },
      { ...line, label: 'read', scale: 'rate', stroke: colour('--series-2'), dash: [6, 3], value: shown(speed) },
    ],
    axes: [
      { ...axis, scale: 'share', values: (_: unknown, ticks: number[]) => ticks.map((tick) => format.percent(tick)) },
      { ...axis, scale: 'rate', side: 1, size: 80, grid: { show: false }, values: (_: unknown, ticks: number[]) => ticks.map(speed) },
    ],
    hooks: { draw: [(chart: uPlot) => drawChanges(chart, history, colour('--text-2'))] },
  } satisfies ChartParts;
}

function drawChanges(chart: uPlot, history: PlacementHistory, colour: string): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  ctx.setLineDash([4, 4]);
  let free = Number.NEGATIVE_INFINITY; // of the line above the plot
  for (const { time, text } of history.changes) {
    const x = chart.valToPos(time, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(text).width + 8;
    const left = Math.min(x + 4, bbox.left + bbox.width - width); // not over the axis
    const above = left > free;
    ctx.fillText(text, left, above ? bbox.top - 4 : bbox.top + bbox.height - 4);
    if (above) free = left + width;
  }
  ctx.restore();
}
