// How long a dataset's examples are, as an estimate of a run takes them, from what a preview says.
import type { DatasetReport, TrainingPlan } from '../../contract/index.ts';

export type EstimatedReport = Pick<DatasetReport, 'good' | 'kinds' | 'split' | 'tokens'>;

export interface ExampleLengths {
  lengths: { tokens: number; examples: number }[];
  /** share of the tokens */
  learnt: number;
}

/** Of the training part, cut as the plan cuts them; null: nothing is known, or left. room: tokens of a batch. */
export function exampleLengths({ good, kinds, split, tokens }: EstimatedReport, { data }: TrainingPlan, room: number): ExampleLengths | null {
  if (tokens === null || good === 0) return null;
  const arePairs = kinds.preference > 0;
  const most = Math.max(2, Math.min(data.maxTokens ?? room, arePairs ? Math.floor(room / 2) : room));
  const share = split.train / good;
  const lengths = tokens.lengths.bars.flatMap(({ from, to, count }) => {
    const middle = Math.max(2, Math.round((from + Math.min(to, tokens.lengths.max)) / 2));
    const examples = Math.round(count * share);
    return examples === 0 || (data.overLong === 'leave-out' && middle > most) ? [] : [{ tokens: Math.min(most, middle), examples }];
  });
  const longest = Math.min(most, tokens.lengths.max);
  if (longest >= 2) lengths.push({ tokens: longest, examples: 1 });
  return lengths.length === 0 ? null : { lengths, learnt: tokens.total > 0 ? Math.min(1, tokens.supervised / tokens.total) : 1 };
}
