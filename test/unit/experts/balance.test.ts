import { describe, expect, it } from 'vitest';
import { layerBalance, usageBalance } from '../../../main/contract/experts-balance.ts';

/** Room for the rounding of a few additions of doubles. */
const DIGITS = 12;

describe('layerBalance', () => {
  it('is perfect for an even load', () => {
    expect(layerBalance(2, [5, 5, 5, 5])).toEqual({
      layer: 2,
      total: 20,
      maximumOverMean: 1,
      coefficientOfVariation: 0,
      entropyBits: 2,
      entropyNormalised: 1,
      deadExperts: [],
    });
  });

  it('is worst when one expert does everything', () => {
    const balance = layerBalance(0, [0, 8, 0, 0]);
    expect(balance).toMatchObject({ maximumOverMean: 4, entropyBits: 0, entropyNormalised: 0, deadExperts: [0, 2, 3] });
    expect(balance.coefficientOfVariation).toBeCloseTo(Math.sqrt(3), DIGITS);
  });

  it('gives the textbook figures for an uneven load', () => {
    const balance = layerBalance(0, Float64Array.of(1, 2, 1, 0));
    expect(balance).toMatchObject({ total: 4, maximumOverMean: 2, entropyBits: 1.5, entropyNormalised: 0.75, deadExperts: [3] });
    expect(balance.coefficientOfVariation).toBeCloseTo(Math.sqrt(0.5), DIGITS);
  });

  it('does not invent figures for a layer without tokens, and knows a layer of one expert', () => {
    const nothing = { maximumOverMean: null, coefficientOfVariation: null, entropyBits: null, entropyNormalised: null, deadExperts: [] };
    expect(layerBalance(0, [0, 0])).toEqual({ layer: 0, total: 0, ...nothing });
    expect(layerBalance(0, [3])).toMatchObject({ entropyNormalised: 1, maximumOverMean: 1 });
  });
});

describe('usageBalance', () => {
  it('names rows by their block', () => {
    const rows = usageBalance({ moeLayers: [1, 3], expertCount: 2, counts: [1, 1, 0, 4] });
    expect(rows.map(({ layer, total, deadExperts }) => ({ layer, total, deadExperts }))).toEqual([
      { layer: 1, total: 2, deadExperts: [] },
      { layer: 3, total: 4, deadExperts: [0] },
    ]);
  });
});
