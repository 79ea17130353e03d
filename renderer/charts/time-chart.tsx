// Series over time in uPlot, the same everywhere: colours of the theme, width of its box, drag to zoom, double-click to reset.
import { useEffect, useRef, useSyncExternalStore } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import style from './time-chart.module.css';

const REDRAW_MS = 500;
const HEIGHT = 170;
/** seconds that the time axis shows at least */
const SHORTEST_SPAN = 60;

/** Looks of the theme that an axis or a series takes over. */
export interface ChartStyle {
  axis: uPlot.Axis;
  line: Pick<uPlot.Series, 'width' | 'points'>;
  /** of a custom property: `--series-1` */
  colour: (name: string) => string;
}

/** What differs from chart to chart; the series and axes behind those of the time. */
export interface ChartParts {
  padding?: uPlot.Padding;
  scales: uPlot.Scales;
  series: uPlot.Series[];
  axes: uPlot.Axis[];
  hooks?: uPlot.Hooks.Arrays;
}

interface TimeChartProps {
  /** accessible name */
  label: string;
  /** asked twice a second: times in seconds, then one column for each series */
  data: () => uPlot.AlignedData;
  parts: (look: ChartStyle) => ChartParts;
}

/** `data` and `parts` must stay the same from one rendering to the next, or the chart is made anew. */
export function TimeChart({ label, data, parts }: TimeChartProps) {
  const theme = useThemeName();
  const box = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are those of the theme
  useEffect(() => (box.current ? startChart(box.current, data, parts) : undefined), [data, parts, theme]);
  return <div ref={box} className={style.chart} role="img" aria-label={label} />;
}

/** Returns the function that ends it. */
function startChart(box: HTMLElement, data: TimeChartProps['data'], parts: TimeChartProps['parts']): () => void {
  let zoomed = false;
  const onZoom = (chart: uPlot) => {
    zoomed = chart.select.width > 0;
  };
  const chart = new uPlot(chartOptions(box, parts, onZoom), data(), box);
  chart.over.addEventListener('dblclick', () => {
    zoomed = false;
  });
  const timer = setInterval(() => {
    chart.setData(data(), !zoomed);
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

function chartOptions(box: HTMLElement, parts: TimeChartProps['parts'], onZoom: (chart: uPlot) => void): uPlot.Options {
  const css = getComputedStyle(box);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const line = { stroke: colour('--line'), width: 1 };
  const axis = { stroke: colour('--text-3'), font: `11px ${css.fontFamily}`, grid: line, ticks: line };
  const { padding = [8, 0, 0, 0], scales, series, axes, hooks } = parts({ axis, colour, line: { width: 1.5, points: { show: false } } });
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding,
    cursor: { sync: { key: 'moebius' }, drag: { x: true, y: false } },
    scales: { x: { time: true, range: (_, from, to) => [Math.min(from, to - SHORTEST_SPAN), to] }, ...scales },
    series: [{ label: 'time', value: '{HH}:{mm}:{ss}' }, ...series],
    axes: [{ ...axis, values: [[1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]], space: 70, size: 30 }, ...axes],
    hooks: { ...hooks, setSelect: [onZoom] },
  };
}

/** The figure of a series at the cursor. */
export const shown = (text: (value: number) => string) => (_: uPlot, value: number | null | undefined) =>
  value === null || value === undefined ? '–' : text(value);

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
