// Balance and speed over time.
import { useCallback } from 'react';
import { type ChartParts, type ChartStyle, LiveChart, shown } from '../../charts/live-chart.tsx';
import type { HistorySeries } from '../../experts/usage-history.ts';
import type { UsageKey } from '../../experts/usage-hub.ts';
import { useStores } from '../../stores/index.tsx';

const nothing: HistorySeries = [[], [], [], []];

/** Of a model or conversation; also samples its history while no frames come. */
export function HistoryChart({ usageKey }: { usageKey: UsageKey }) {
  const { usage: hub } = useStores();
  const data = useCallback(() => {
    hub.sample(usageKey);
    return hub.history(usageKey)?.series ?? nothing;
  }, [hub, usageKey]);
  return <LiveChart label="Balance, entropy and tokens per second over time; the table above has the current figures" data={data} parts={parts} />;
}

const number = (digits: number) => shown((value) => value.toFixed(digits));

function parts({ axis, line, colour }: ChartStyle) {
  return {
    scales: {
      balance: { range: (_: unknown, __: number, top: number): [number, number] => [1, Math.max(2, (top ?? 0) * 1.05)] },
      share: { range: [0, 1] as [number, number] },
      speed: { range: (_: unknown, __: number, top: number): [number, number] => [0, Math.max(10, (top ?? 0) * 1.1)] },
    },
    series: [
      { ...line, label: 'max / mean', scale: 'balance', stroke: colour('--series-1'), value: number(2) },
      { ...line, label: 'entropy, of its maximum', scale: 'share', stroke: colour('--series-2'), dash: [6, 3], value: number(3) },
      { ...line, label: 'tokens/s', scale: 'speed', stroke: colour('--series-3'), dash: [2, 2], value: number(0) },
    ],
    axes: [
      { ...axis, scale: 'balance', size: 40, label: 'max / mean', labelSize: 16, labelFont: axis.font },
      { ...axis, scale: 'speed', side: 1 as const, size: 44, grid: { show: false }, label: 'tokens/s', labelSize: 16, labelFont: axis.font },
    ],
  } satisfies ChartParts;
}
