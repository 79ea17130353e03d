// What of the lossy modes is on, their figures, and the steps of their sliders.
import type { LossyExperts, LossyStatus } from '../../../main/contract/index.ts';
import { format } from '../../components/index.ts';

/** As `placement.configure` takes it. */
export function lossyOf(lossy: LossyStatus | null): LossyExperts {
  const copies = lossy?.lowPrecisionCopies;
  const budget = lossy?.skip?.budget ?? null;
  return {
    ...(copies && { lowPrecision: { type: copies.type, above: copies.above, ramShare: copies.ramShare } }),
    ...(budget !== null && { skip: { budget } }),
  };
}

/** of the budget's slider: 0.001 to 1, ten to a decade */
export const budgetSteps = 30;
export const budgetAt = (step: number): number => Number((0.001 * 10 ** (step / 10)).toPrecision(2));
export const stepOf = (budget: number): number => Math.round(Math.min(budgetSteps, Math.max(0, 10 * Math.log10(Math.max(budget, 1e-9) / 0.001))));

export function lossyFigures(lossy: LossyStatus): { label: string; value: string; title: string }[] {
  const share = (count: number) => (lossy.assignments > 0 ? format.percent(count / lossy.assignments) : '–');
  const of = (count: number) => `${count} of ${lossy.assignments} uses of an expert by a token since the load, while these modes were on`;
  const instead = lossy.lowPrecisionCopies?.bytesRead ?? 0;
  return [
    { label: 'at low precision', value: share(lossy.lowPrecision), title: of(lossy.lowPrecision) },
    { label: 'left out', value: share(lossy.skipped), title: of(lossy.skipped) },
    {
      label: 'not read',
      value: format.bytes(lossy.bytesNotRead),
      title: `${lossy.bytesNotRead} bytes of experts; ${instead} bytes of copies were read instead`,
    },
  ];
}
