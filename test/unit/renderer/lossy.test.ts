import { expect, it } from 'vitest';
import type { LossyStatus } from '../../../main/contract/index.ts';
import { budgetAt, budgetSteps, lossyFigures, lossyOf, stepOf } from '../../../renderer/pages/placement/lossy.ts';

const copies = {
  type: 'q2_k' as const,
  above: 0.6,
  ramShare: 0.2,
  state: 'ready' as const,
  written: 1,
  problem: null,
  file: 'm.gguf.q2_k',
  ramBytes: 10,
  bytesRead: 40,
};
const status: LossyStatus = {
  assignments: 200,
  lowPrecision: 24,
  skipped: 6,
  bytesNotRead: 1024,
  lowPrecisionCopies: copies,
  skip: { budget: 0.03, above: [1, 0.5] },
  layers: [],
};

it('asks for what is on, and for nothing else', () => {
  expect(lossyOf(null)).toEqual({});
  expect(lossyOf(status)).toEqual({ lowPrecision: { type: 'q2_k', above: 0.6, ramShare: 0.2 }, skip: { budget: 0.03 } });
  expect(lossyOf({ ...status, lowPrecisionCopies: null })).toEqual({ skip: { budget: 0.03 } });
  expect(lossyOf({ ...status, skip: null })).toEqual({ lowPrecision: { type: 'q2_k', above: 0.6, ramShare: 0.2 } });
});

it('has a slider from 0.001 to 1 nats', () => {
  expect([budgetAt(0), budgetAt(10), budgetAt(budgetSteps)]).toEqual([0.001, 0.01, 1]);
  for (let step = 0; step <= budgetSteps; step++) expect(stepOf(budgetAt(step))).toBe(step);
  expect(stepOf(0)).toBe(0);
  expect(stepOf(7)).toBe(budgetSteps);
});

it('tells shares of all uses', () => {
  const values = Object.fromEntries(lossyFigures(status).map(({ label, value }) => [label, value]));
  expect(values).toMatchObject({ 'at low precision': '12%', 'left out': '3%' });
  expect(lossyFigures({ ...status, assignments: 0 })[0]?.value).toBe('–');
});
