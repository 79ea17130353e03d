// Loss curves of several runs over the same steps.
import type { RunMetrics } from '../../../../main/contract/index.ts';

export type CurveKind = 'training' | 'validation';

const curveOf = ({ points, validations }: RunMetrics, kind: CurveKind): readonly { step: number; loss: number | null }[] =>
  kind === 'training' ? points : validations;

/** steps of all, then one column a run, null where it has nothing */
export function curves(metrics: readonly RunMetrics[], kind: CurveKind): [number[], ...(number | null)[][]] {
  const byStep = metrics.map((run) => new Map(curveOf(run, kind).map(({ step, loss }) => [step, loss])));
  const steps = [...new Set(byStep.flatMap((of) => [...of.keys()]))].sort((a, b) => a - b);
  return [steps, ...byStep.map((of) => steps.map((step) => of.get(step) ?? null))];
}

/** ids with this one put in at the end, or taken out */
export const toggled = (ids: readonly string[], id: string): string[] => (ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id]);
