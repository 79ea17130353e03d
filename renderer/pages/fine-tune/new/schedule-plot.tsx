// The learning rate over the run, as it will be.
import { useMemo } from 'react';
import type { Recipe } from '../../../../main/contract/index.ts';
import { format } from '../../../components/index.ts';
import { DEFAULT_RATE, learningRateCurve } from '../learning-rate.ts';
import style from './recipe.module.css';

const [WIDTH, HEIGHT] = [400, 72];

/** rates as people write them: 2e-4 */
export const rateText = (rate: number): string => {
  if (rate === 0) return '0';
  return rate >= 0.01 ? String(Number(rate.toPrecision(3))) : String(Number(rate.toPrecision(3)).toExponential()).replace('e+', 'e');
};

export function SchedulePlot({ schedule, stepTokens }: { schedule: Recipe['schedule']; stepTokens: number }) {
  const curve = useMemo(() => learningRateCurve(schedule, stepTokens), [schedule, stepTokens]);
  const rates = curve.map(([, rate]) => rate).filter(Number.isFinite);
  const most = Math.max(...rates, Number.MIN_VALUE);
  const last = rates.at(-1) ?? 0;
  const points = curve.map(([step, rate]) => `${(step / Math.max(1, schedule.steps - 1)) * WIDTH},${HEIGHT - (rate / most) * (HEIGHT - 4) - 1}`);
  const name = `Learning rate: at most ${rateText(most)}, ${rateText(last)} at the last of ${schedule.steps} steps`;
  return (
    <figure className={style.plot}>
      <figcaption>
        <span>Learning rate</span>
        <span title={`of ${rateText(schedule.learningRate ?? DEFAULT_RATE)} as set`}>up to {rateText(most)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={name}>
        <polyline points={points.join(' ')} />
      </svg>
      <div className={style.plotAxis} aria-hidden>
        <span>step 1</span>
        <span>
          {rateText(last)} at step {format.exact(schedule.steps)}
        </span>
      </div>
    </figure>
  );
}
