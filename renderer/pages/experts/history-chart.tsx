// Balance and speed over time, in uPlot.
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { MeanBalance } from './balance-table.tsx';
import style from './experts.module.css';

const SAMPLE_MS = 500;
/** half an hour */
const KEPT_SAMPLES = 3600;
const HEIGHT = 180;

type Series = [time: number[], maximumOverMean: (number | null)[], entropy: (number | null)[], tokensPerSecond: number[]];

/** `tokens`: counted so far; `balance`: means over the layers. Both are sampled at a fixed rate, whatever the rate of rendering. */
export function HistoryChart({ tokens, balance }: { tokens: number; balance: MeanBalance }) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef({ tokens, balance });
  latest.current = { tokens, balance };
  useEffect(() => {
    if (!box.current) return;
    const series: Series = [[], [], [], []];
    const chart = new uPlot(chartOptions(box.current), series, box.current);
    let before = latest.current.tokens;
    const timer = setInterval(() => {
      const now = latest.current;
      push(series, [Date.now() / 1000, now.balance.maximumOverMean, now.balance.entropyNormalised, Math.max(0, now.tokens - before) * (1000 / SAMPLE_MS)]);
      before = now.tokens;
      chart.setData(series);
    }, SAMPLE_MS);
    const resize = new ResizeObserver(([entry]) => entry && chart.setSize({ width: entry.contentRect.width, height: HEIGHT }));
    resize.observe(box.current);
    return () => {
      clearInterval(timer);
      resize.disconnect();
      chart.destroy();
    };
  }, []);
  return (
    <div ref={box} className={style.chart} role="img" aria-label="Balance, entropy and tokens per second over time; the table above has the current figures" />
  );
}

function push(series: Series, sample: [number, number | null, number | null, number]): void {
  sample.forEach((value, index) => {
    const column = series[index] as (number | null)[]; // every column takes numbers; two take null too
    column.push(value);
    if (column.length > KEPT_SAMPLES) column.shift();
  });
}

function chartOptions(box: HTMLElement): uPlot.Options {
  const css = getComputedStyle(box);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const axis = { stroke: colour('--text-3'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 } };
  const number = (digits: number) => (_: uPlot, value: number | null) => (value === null || value === undefined ? '–' : value.toFixed(digits));
  return {
    width: box.clientWidth,
    height: HEIGHT,
    cursor: { sync: { key: 'moebius' }, drag: { x: true, y: false } },
    scales: { x: { time: true }, balance: {}, share: { range: [0, 1] }, speed: { range: (_, __, top) => [0, Math.max(1, top)] } },
    series: [
      { label: 'time' },
      { label: 'max / mean', scale: 'balance', stroke: colour('--series-1'), width: 1.5, value: number(2) },
      { label: 'entropy (of 1)', scale: 'share', stroke: colour('--series-2'), width: 1.5, value: number(3) },
      { label: 'tokens/s', scale: 'speed', stroke: colour('--series-3'), width: 1.5, value: number(0) },
    ],
    axes: [axis, { ...axis, scale: 'balance', size: 44 }, { ...axis, scale: 'speed', side: 1, size: 52, grid: { show: false } }],
  };
}
