import { expect, it } from 'vitest';
import type { ExpertPredictor } from '../../../main/contract/index.ts';
import { prefetchFigures } from '../../../renderer/pages/placement/prefetch-figures.ts';

function predictor(change: Partial<ExpertPredictor>): ExpertPredictor {
  const counters = { uses: 0, right: 0, read: 0, used: 0, late: 0, wasted: 0, withdrawn: 0 };
  return { name: 'router', depth: 1, leastProbability: 0.5, savedMilliseconds: 0, lostMilliseconds: 0, layers: [], ...counters, ...change };
}
const figures = (...predictors: ExpertPredictor[]) => prefetchFigures({ mode: 'auto', computeMilliseconds: 1, predictors });

it('sums what came of the reads, and names the predictor that is right most often', () => {
  const [read, accuracy, recall] = figures(
    predictor({ uses: 100, right: 40, read: 20, used: 10, late: 5, wasted: 5, withdrawn: 3, savedMilliseconds: 1500 }),
    predictor({ name: 'tokens', uses: 50, right: 30, read: 12, used: 6, late: 0, wasted: 4, depth: 0 }),
  );
  expect(read).toMatchObject({ value: '32', title: '32 experts: 16 used in time, 5 late, 9 wasted; 3 more withdrawn before the disk began' });
  expect(accuracy?.value).toBe('70%');
  expect(accuracy?.title.split('\n')).toHaveLength(2);
  expect(accuracy?.title).toContain('(off)');
  expect(recall).toMatchObject({ value: '60%', title: 'of the experts used, named by: where the tokens went before' });
});

it('tells of a ring what is known, and nothing of saved time', () => {
  const [read, accuracy, recall] = figures(predictor({ name: 'round', read: 8, used: 8, savedMilliseconds: null, lostMilliseconds: null }));
  expect(read?.value).toBe('8');
  expect(accuracy?.value).toBe('100%');
  expect(accuracy?.title).not.toMatch(/saved|lost/);
  expect(recall).toMatchObject({ value: '–', title: 'nothing was predicted' });
});
