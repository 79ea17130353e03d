// Lengths, duplicates and the split: exact, in bounded memory, and independent of order.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXAMPLES_REMEMBERED } from '../../../main/contract/datasets.ts';
import { DuplicateFinder } from '../../../main/training/data/duplicates.ts';
import { type Example, fingerprint, hasBrokenText, repliesOf } from '../../../main/training/data/example.ts';
import { LengthHistogram } from '../../../main/training/data/histogram.ts';
import { partOf, type Split } from '../../../main/training/data/split.ts';

const isForValidation = (mark: string, split: Split) => partOf(mark, split) === 'validation';

const text = (words: string): Example => ({ kind: 'text', text: words });

describe('the length histogram', () => {
  it('agrees with sorting', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 300 }), (lengths) => {
        const histogram = new LengthHistogram();
        for (const length of lengths) histogram.add(length);
        const sorted = [...lengths].sort((a, b) => a - b);
        const rank = (share: number) => sorted[Math.ceil(share * sorted.length) - 1];
        const summary = histogram.summary();
        expect(summary).toMatchObject({ count: lengths.length, p50: rank(0.5), p90: rank(0.9), p99: rank(0.99), max: sorted.at(-1) });
        expect(summary.mean * lengths.length).toBeCloseTo(histogram.sum);
        for (const { from, to, count } of summary.bars) expect(count).toBe(lengths.filter((length) => length >= from && length <= to).length);
        expect(summary.bars.reduce((sum, { count }) => sum + count, 0)).toBe(lengths.length);
      }),
    );
  });

  it('has no example that it does not count, however long', () => {
    const histogram = new LengthHistogram();
    for (const length of [1, 2 ** 20 - 1, 2 ** 20, 2 ** 24]) histogram.add(length);
    expect(histogram.summary()).toMatchObject({ max: 2 ** 24, p50: 2 ** 20 - 1, p99: 2 ** 24 });
    expect(histogram.summary().bars.reduce((sum, { count }) => sum + count, 0)).toBe(4);
  });

  it('may be empty', () => expect(new LengthHistogram().summary()).toEqual({ count: 0, mean: 0, p50: 0, p90: 0, p99: 0, max: 0, bars: [] }));
});

describe('the duplicate finder', () => {
  it('finds the first of equal ones, like a map', () => {
    const finder = new DuplicateFinder();
    const first = new Map<string, number>();
    for (let position = 0; position < 60_000; position++) {
      const mark = fingerprint(text(`${(position * 7919) % 40_000}`));
      const far = 2 ** 31 + position; // positions have 32 bits
      expect(finder.add(mark, far)).toBe(first.get(mark) ?? null);
      if (!first.has(mark)) first.set(mark, far);
    }
    expect(first.size).toBe(40_000);
    expect(finder.incomplete).toBe(false);
  });

  it('says when it remembers no more, and still knows those that it does', () => {
    const finder = new DuplicateFinder(2);
    const marks = ['a', 'b', 'c'].map((word) => fingerprint(text(word)));
    expect(marks.slice(0, 2).map((mark, index) => finder.add(mark, index))).toEqual([null, null]);
    expect(finder.incomplete).toBe(false);
    expect(finder.add(marks[2] ?? '', 2)).toBe(null);
    expect(finder.incomplete).toBe(true);
    expect(marks.map((mark, index) => finder.add(mark, index + 3))).toEqual([0, 1, null]);
  });

  it('remembers no position that it has no room for', () => {
    const finder = new DuplicateFinder();
    const mark = fingerprint(text('late'));
    expect([2 ** 32 - 1, 2 ** 32].map((position) => finder.add(mark, position))).toEqual([null, null]);
    expect(finder.incomplete).toBe(true);
    expect([2 ** 32 - 2, 2 ** 40].map((position) => finder.add(mark, position))).toEqual([null, 2 ** 32 - 2]);
  });

  it('takes 20 bytes an example at most: 60 MB in all', () => {
    const finder = new DuplicateFinder();
    const few = 100_000; // beside them the room of the first ones counts
    for (let position = 0; position < 2 * few; position++) {
      finder.add(fingerprint(text(`${position}`)), position);
      if (position > few && position % 1000 === 0) expect(finder.bytes / position).toBeLessThan(20);
    }
    expect(20 * EXAMPLES_REMEMBERED).toBe(60e6);
  });
});

describe('the split', () => {
  const marks = Array.from({ length: 4000 }, (_, index) => fingerprint(text(`${index}`)));

  it('has about the share that is asked for, and is another with another seed', () => {
    for (const validation of [0, 0.05, 0.5]) {
      const count = marks.filter((mark) => isForValidation(mark, { validation, seed: 1 })).length;
      // five standard deviations of a binomial draw
      expect(Math.abs(count - validation * marks.length)).toBeLessThanOrEqual(5 * Math.sqrt(marks.length * validation * (1 - validation)));
    }
    const sides = [1, 2].map((seed) => marks.map((mark) => isForValidation(mark, { validation: 0.5, seed })));
    expect(sides[0]).not.toEqual(sides[1]);
  });

  it('only moves examples into validation when its share grows', () => {
    const small = marks.filter((mark) => isForValidation(mark, { validation: 0.05, seed: 3 }));
    for (const mark of small) expect(isForValidation(mark, { validation: 0.1, seed: 3 })).toBe(true);
  });

  it('is the same for ever', () => {
    // recorded: a change here would mix up training and validation of everybody who goes on with an old run
    expect(marks.slice(0, 60).flatMap((mark, index) => (isForValidation(mark, { validation: 0.1, seed: 1 }) ? [index] : []))).toMatchInlineSnapshot(`
      [
        9,
        20,
        25,
        46,
        53,
        57,
      ]
    `);
  });
});

describe('an example', () => {
  it('with half of a surrogate pair anywhere is noticed', () => {
    expect(hasBrokenText({ a: [{ b: 'x\ud800' }] })).toBe(true);
    expect(hasBrokenText({ '\udc00': 1 })).toBe(true);
    expect(hasBrokenText({ a: ['😀', '\\ud800', null, 5] })).toBe(false);
  });

  it('has replies, but for those that are ignored', () => {
    const messages = (['user', 'assistant', 'user', 'assistant'] as const).map((role) => ({ role, content: 'x' }));
    expect(repliesOf({ messages })).toEqual([1, 3]);
    expect(repliesOf({ messages, ignored: [1] })).toEqual([3]);
  });
});
