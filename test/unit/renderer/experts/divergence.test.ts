import { describe, expect, it } from 'vitest';
import { jensenShannon, layerDivergences, layerShares } from '../../../../renderer/pages/experts/divergence.ts';

describe('how far apart two conversations are', () => {
  it('is 0 for the same shares, whatever the counts, and 1 bit without a common expert', () => {
    expect(jensenShannon([1, 3], [10, 30])).toBeCloseTo(0, 12);
    expect(jensenShannon([5, 0], [0, 7])).toBe(1);
  });

  it('is the same both ways and between 0 and 1', () => {
    // by hand: p = (3/4, 1/4), q = (1/4, 3/4), m = (1/2, 1/2): 3/4 log2(3/2) + 1/4 log2(1/2)
    const expected = 0.75 * Math.log2(1.5) + 0.25 * Math.log2(0.5);
    expect(jensenShannon([3, 1], [1, 3])).toBeCloseTo(expected, 12);
    expect(jensenShannon([1, 3], [3, 1])).toBeCloseTo(expected, 12);
  });

  it('is not known where one of them counted nothing', () => {
    expect(layerDivergences([1, 0, 0, 0], [1, 0, 0, 2], 2)).toEqual([0, null]);
  });

  it('shares of a layer sum to 1, or to 0 where nothing was counted', () => {
    expect([...layerShares([1, 3, 0, 0], 2)]).toEqual([0.25, 0.75, 0, 0]);
  });
});
