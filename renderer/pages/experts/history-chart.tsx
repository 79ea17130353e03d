// Balance and speed over time, in uPlot.
import { useEffect, useRef, useSyncExternalStore } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { HistorySeries } from '../../experts/usage-history.ts';
import type { UsageHub, UsageKey } from '../../experts/usage-hub.ts';
import { useStores } from '../../stores/index.tsx';
import style from './experts.module.css';

const REDRAW_MS = 500;
const HEIGHT = 170;
/** seconds that the time axis shows at least */
const SHORTEST_SPAN = 60;
const nothing: HistorySeries = [[], [], [], []];

/** Of a model or conversation; also samples its history while no frames come. */
export function HistoryChart({ usageKey }: { usageKey: UsageKey }) {
  const { usage: hub } = useStores();
  const theme = useThemeName();
  const box = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are those of the theme
  useEffect(() => (box.current ? startChart(box.current, hub, usageKey) : undefined), [hub, usageKey, theme]);
  return (
    <div ref={box} className={style.chart} role="img" aria-label="Balance, entropy and tokens per second over time; the table above has the current figures" />
  );
}

/** Returns the function that ends it. */
function startChart(box: HTMLElement, hub: UsageHub, key: UsageKey): () => void {
  let zoomed = false;
  const onZoom = (chart: uPlot) => {
    zoomed = chart.select.width > 0;
  };
  const chart = new uPlot({ ...chartOptions(box), hooks: { setSelect: [onZoom] } }, hub.history(key)?.series ?? nothing, box);
  chart.over.addEventListener('dblclick', () => {
    zoomed = false;
  });
  const timer = setInterval(() => {
    hub.sample(key);
    const series = hub.history(key)?.series ?? nothing;
    chart.setData(series, !zoomed);
    if (zoomed) chart.redraw();
  }, REDRAW_MS);
  const resize = new ResizeObserver(([entry]) => entry && chart.setSize({ width: entry.contentRect.width, height: HEIGHT }));
  resize.observe(box);
  return () => {
    clearInterval(timer);
    resize.disconnect();
    chart.destroy();
  };
}

function chartOptions(box: HTMLElement): uPlot.Options {
  const css = getComputedStyle(box);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--text-3'),
    font: `11px ${css.fontFamily}`,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
  };
  const number = (digits: number) => (_: uPlot, value: number | null | undefined) => (value === null || value === undefined ? '–' : value.toFixed(digits));
  const line = { width: 1.5, points: { show: false } };
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding: [8, 0, 0, 0],
    cursor: { sync: { key: 'moebius' }, drag: { x: true, y: false } },
    scales: {
      x: { time: true, range: (_, from, to) => [Math.min(from, to - SHORTEST_SPAN), to] },
      balance: { range: (_, __, top) => [1, Math.max(2, (top ?? 0) * 1.05)] },
      share: { range: [0, 1] },
      speed: { range: (_, __, top) => [0, Math.max(10, (top ?? 0) * 1.1)] },
    },
    series: [
      { label: 'time', value: '{HH}:{mm}:{ss}' },
      { ...line, label: 'max / mean', scale: 'balance', stroke: colour('--series-1'), value: number(2) },
      { ...line, label: 'entropy, of its maximum', scale: 'share', stroke: colour('--series-2'), dash: [6, 3], value: number(3) },
      { ...line, label: 'tokens/s', scale: 'speed', stroke: colour('--series-3'), dash: [2, 2], value: number(0) },
    ],
    axes: [
      { ...axis, values: [[1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]], space: 70, size: 30 },
      { ...axis, scale: 'balance', size: 40, label: 'max / mean', labelSize: 16, labelFont: axis.font },
      { ...axis, scale: 'speed', side: 1, size: 44, grid: { show: false }, label: 'tokens/s', labelSize: 16, labelFont: axis.font },
    ],
  };
}

/** `dark` or `light`; canvas drawings take their colours once, so they are made again when it changes. */
function useThemeName(): string {
  return useSyncExternalStore(
    (changed) => {
      const observer = new MutationObserver(changed);
      observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
      return () => observer.disconnect();
    },
    () => document.documentElement.dataset.theme ?? '',
  );
}
