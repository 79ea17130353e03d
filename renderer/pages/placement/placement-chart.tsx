// Hit rate and disk reads over time, in uPlot, with a line at every change of RAM or policy: before and after.
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { format } from '../../components/index.ts';
import style from './placement.module.css';
import type { PlacementHistory } from './placement-history.ts';

const REDRAW_MS = 500;
const HEIGHT = 170;
/** seconds that the time axis shows at least */
const SHORTEST_SPAN = 60;

export function PlacementChart({ history }: { history: PlacementHistory }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => (box.current ? startChart(box.current, history) : undefined), [history]);
  return <div ref={box} className={style.chart} role="img" aria-label="Hit rate and disk reads over time; the figures above are the current ones" />;
}

function startChart(box: HTMLElement, history: PlacementHistory): () => void {
  const chart = new uPlot(chartOptions(box, history), history.series, box);
  const timer = setInterval(() => chart.setData(history.series), REDRAW_MS);
  const resize = new ResizeObserver(([entry]) => entry && chart.setSize({ width: entry.contentRect.width, height: HEIGHT }));
  resize.observe(box);
  return () => {
    clearInterval(timer);
    resize.disconnect();
    chart.destroy();
  };
}

function chartOptions(box: HTMLElement, history: PlacementHistory): uPlot.Options {
  const css = getComputedStyle(box);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--text-3'),
    font: `11px ${css.fontFamily}`,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
  };
  const line = { width: 1.5, points: { show: false } };
  const shown = (text: (value: number) => string) => (_: uPlot, value: number | null | undefined) =>
    value === null || value === undefined ? '–' : text(value);
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding: [16, 0, 0, 0],
    cursor: { sync: { key: 'moebius' }, drag: { x: true, y: false } },
    scales: {
      x: { time: true, range: (_, from, to) => [Math.min(from, to - SHORTEST_SPAN), to] },
      share: { range: [0, 1] },
      rate: { range: (_, __, top) => [0, Math.max(1e6, (top ?? 0) * 1.1)] },
    },
    series: [
      { label: 'time', value: '{HH}:{mm}:{ss}' },
      { ...line, label: 'hits', scale: 'share', stroke: colour('--series-1'), value: shown(format.percent), spanGaps: true },
      { ...line, label: 'read', scale: 'rate', stroke: colour('--series-2'), dash: [6, 3], value: shown((rate) => `${format.bytes(rate)}/s`) },
    ],
    axes: [
      axis,
      { ...axis, scale: 'share', values: (_, ticks) => ticks.map((tick) => format.percent(tick)) },
      { ...axis, scale: 'rate', side: 1, size: 80, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => `${format.bytes(tick)}/s`) },
    ],
    hooks: { draw: [(chart) => drawChanges(chart, history, colour('--text-2'))] },
  };
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
