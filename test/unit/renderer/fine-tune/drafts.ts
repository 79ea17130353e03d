// Forms of a new run, and what is known of their data.
import type { DatasetReport } from '../../../../main/contract/index.ts';
import { newDraft, type RunDraft } from '../../../../renderer/pages/fine-tune/new/run-draft.ts';

export const report = (changes: Partial<DatasetReport> = {}): DatasetReport => ({
  files: [],
  rows: 110,
  good: 100,
  bad: 10,
  kinds: { conversation: 100, text: 0, preference: 0 },
  badRows: { reasons: [], listed: [] },
  warnings: [],
  duplicates: { count: 0, incomplete: false, listed: [] },
  split: { share: 0.05, seed: 1, train: 95, validation: 5 },
  tokens: {
    model: 'm',
    loss: 'replies',
    lengths: { count: 100, mean: 50, p50: 40, p90: 90, p99: 200, max: 300, bars: [] },
    total: 10_000,
    supervised: 4000,
    context: 512,
    overContext: 0,
  },
  preview: [],
  ...changes,
});

export const ready = (changes: Partial<RunDraft['plan']> = {}): RunDraft => {
  const draft = newDraft();
  return { ...draft, plan: { ...draft.plan, data: { files: ['/data/a.jsonl'] }, ...changes } };
};
export const { schedule } = newDraft().plan;
