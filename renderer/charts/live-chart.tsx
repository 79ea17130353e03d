// Series in uPlot, the same everywhere: colours of the theme, width of its box, drag to zoom, double-click to reset.
import { type RefObject, useEffect, useRef, useSyncExternalStore } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import style from './live-chart.module.css';

const REDRAW_MS = 500;
const HEIGHT = 170;
/** seconds that an axis of time shows at least */
const SHORTEST_SPAN = 60;

/** Looks of the theme that an axis or a series takes over. */
export interface ChartStyle {
  axis: uPlot.Axis;
  line: Pick<uPlot.Series, 'width' | 'points'>;
  /** of a custom property: `--series-1` */
  colour: (name: string) => string;
}

/** What differs from chart to chart; the series and axes behind the one below. */
export interface ChartParts {
  padding?: uPlot.Padding;
  scales: uPlot.Scales;
  series: uPlot.Series[];
  axes: uPlot.Axis[];
  hooks?: uPlot.Hooks.Arrays;
}

interface LiveChartProps {
  /** accessible name */
  label: string;
  /** asked twice a second: places below (seconds, or steps), then one column for each series */
  data: () => uPlot.AlignedData;
  parts: (look: ChartStyle) => ChartParts;
  /** what the columns are over; default: the time of day */
  over?: 'time' | 'steps';
  /** charts of the same name have one cursor, and are zoomed together */
  together?: string;
  /** the chart as it is drawn, for exports */
  drawn?: RefObject<uPlot | null>;
}

/** `data` and `parts` must stay the same from one rendering to the next, or the chart is made anew. */
export function LiveChart({ label, data, parts, over = 'time', together = 'moebius', drawn }: LiveChartProps) {
  const theme = useThemeName();
  const box = useRef<HTMLDivElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are those of the theme
  useEffect(() => {
    if (!box.current) return;
    const { chart, end } = startChart(box.current, { data, parts, over, together });
    if (drawn) drawn.current = chart;
    return () => {
      if (drawn) drawn.current = null;
      end();
    };
  }, [data, parts, over, together, drawn, theme]);
  return <div ref={box} className={style.chart} role="img" aria-label={label} />;
}

type ChartSetup = Required<Pick<LiveChartProps, 'data' | 'parts' | 'over' | 'together'>>;

function startChart(box: HTMLElement, setup: ChartSetup): { chart: uPlot; end: () => void } {
  const chart = new uPlot(chartOptions(box, setup), setup.data(), box);
  const timer = setInterval(() => {
    const zoomed = isZoomed(chart);
    chart.setData(setup.data(), !zoomed);
    if (zoomed) chart.redraw();
  }, REDRAW_MS);
  const resize = new ResizeObserver(([entry]) => entry && chart.setSize({ width: entry.contentRect.width, height: HEIGHT }));
  resize.observe(box);
  const end = () => {
    clearInterval(timer);
    resize.disconnect();
    chart.destroy();
  };
  return { chart, end };
}

/** Less is shown than there is: by whichever of the charts that are zoomed together. */
function isZoomed({ data: [places], scales: { x } }: uPlot): boolean {
  const [first, last] = [places[0], places[places.length - 1]];
  return first !== undefined && last !== undefined && ((x?.min ?? first) > first || (x?.max ?? last) < last);
}

function chartOptions(box: HTMLElement, { parts, over, together }: ChartSetup): uPlot.Options {
  const css = getComputedStyle(box);
  const colour = (name: string) => css.getPropertyValue(name).trim();
  const line = { stroke: colour('--line'), width: 1 };
  const axis = { stroke: colour('--text-3'), font: `11px ${css.fontFamily}`, grid: line, ticks: line };
  const { padding = [8, 0, 0, 0], scales, series, axes, hooks } = parts({ axis, colour, line: { width: 1.5, points: { show: false } } });
  const below = over === 'time' ? timeBelow : stepsBelow;
  return {
    width: box.clientWidth,
    height: HEIGHT,
    padding,
    cursor: { y: false, sync: { key: together }, drag: { x: true, y: false } },
    scales: { x: below.scale, ...scales },
    series: [below.series, ...series],
    axes: [{ ...axis, ...below.axis }, ...axes],
    ...(hooks && { hooks }),
  };
}

interface Below {
  scale: uPlot.Scale;
  series: uPlot.Series;
  axis: uPlot.Axis;
}

const timeBelow: Below = {
  scale: { time: true, range: (_, from, to) => [Math.min(from, to - SHORTEST_SPAN), to] },
  series: { label: 'time', value: '{HH}:{mm}:{ss}' },
  axis: { values: [[1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1]], space: 70, size: 30 },
};

const stepsBelow: Below = {
  scale: { time: false, range: (_, from, to) => [from ?? 0, Math.max(to ?? 1, (from ?? 0) + 1)] },
  series: { label: 'step' },
  axis: { space: 60, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] },
};

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
