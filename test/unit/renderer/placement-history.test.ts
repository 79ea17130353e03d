import { expect, it } from 'vitest';
import type { ExpertStore } from '../../../main/contract/index.ts';
import { hitRateOf, PlacementHistory } from '../../../renderer/pages/placement/placement-history.ts';
import { TierGrid } from '../../../renderer/pages/placement/tier-grid.ts';

function store(hits: number, misses: number, bytesRead: number, change: Partial<ExpertStore> = {}): ExpertStore {
  const counters = { hits, late: 0, misses, stalledMilliseconds: 10 * misses };
  const sizes = { ramBytes: 10, ramBytesLeast: 4, ramBytesMost: 20, diskBytes: 18, prefetch: { mode: 'off' as const, computeMilliseconds: 0, predictors: [] } };
  return { ...counters, ...sizes, policy: 'lru', bytesRead, layoutFile: null, layers: [{ ...counters, layer: 1, slots: 2, tiers: 'drmd' }], ...change };
}

it('gives rates of what happened since the sample before', () => {
  const history = new PlacementHistory();
  history.add(store(10, 10, 1000), 100);
  expect(history.latest).toBeNull();
  history.add(store(40, 20, 3000), 102);
  expect(history.latest).toEqual({ hitRate: 0.75, readRate: 1000, waiting: 0.05 });
  history.add(store(40, 20, 3000), 103);
  expect(history.latest?.hitRate).toBeNull();
  expect(history.series).toEqual([
    [102, 103],
    [0.75, null],
    [1000, 0],
  ]);
});

it('begins anew when the counters do', () => {
  const history = new PlacementHistory();
  history.add(store(10, 10, 1000), 1);
  history.add(store(20, 10, 1000), 2);
  history.changed('lfu', 2);
  history.add(store(0, 1, 50), 3);
  expect([history.series, history.changes, history.latest]).toEqual([[[], [], []], [], null]);
});

it('has no hit rate without uses', () => {
  expect(hitRateOf({ hits: 0, late: 0, misses: 0 })).toBeNull();
  expect(hitRateOf({ hits: 1, late: 1, misses: 2 })).toBe(0.25);
});

it('says where an expert is', () => {
  const { layers } = store(1, 1, 1);
  const grid = new TierGrid(store(1, 1, 1));
  expect([...grid.values]).toEqual([0, 2, 1, 0]);
  expect(grid.describe({ layer: 0, expert: 1 }, layers)).toBe('layer 1 · expert 1 · in RAM · 1 of 4 experts of the layer are in RAM');
  expect(grid.describe({ layer: 0, expert: 2 }, layers)).toContain('on its way to RAM');
});
