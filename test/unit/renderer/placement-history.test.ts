import { expect, it } from 'vitest';
import type { ExpertDevices, ExpertStore } from '../../../main/contract/index.ts';
import { deviceRates } from '../../../renderer/pages/placement/device-rates.ts';
import { hitRateOf, PlacementHistory } from '../../../renderer/pages/placement/placement-history.ts';
import { highestTier, TierGrid, tierText } from '../../../renderer/pages/placement/tier-grid.ts';

function store(hits: number, misses: number, bytesRead: number, change: Partial<ExpertStore> = {}): ExpertStore {
  const counters = { hits, late: 0, misses, stalledMilliseconds: 10 * misses };
  const sizes = { ramBytes: 10, ramBytesLeast: 4, ramBytesMost: 20, diskBytes: 18, prefetch: { mode: 'off' as const, computeMilliseconds: 0, predictors: [] } };
  return {
    ...counters,
    ...sizes,
    policy: 'lru',
    bytesRead,
    bytesHidden: 0,
    storage: 'slots',
    layoutFile: null,
    lossy: null,
    superExperts: null,
    layers: [{ ...counters, layer: 1, slots: 2, tiers: 'drmd' }],
    ...change,
  };
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
  const grid = new TierGrid({ store: store(1, 1, 1), devices: null });
  expect([...grid.values]).toEqual([0, 2, 1, 0]);
  expect(grid.describe({ layer: 0, expert: 1 })).toBe('layer 1 · expert 1 · in RAM · 1 of 4 experts of the layer are in RAM');
  expect(grid.describe({ layer: 0, expert: 2 })).toContain('on its way to RAM');
});

it('marks super experts, and says so', () => {
  const superExperts = [{ layer: 1, expert: 3, peak: 900, protected: true }];
  const grid = new TierGrid({ store: store(1, 1, 1, { superExperts }), devices: null });
  expect(grid.marked).toEqual([{ layer: 0, expert: 3 }]);
  expect(grid.describe({ layer: 0, expert: 3 })).toContain('expert 3 · super expert, never evicted · on disk');
  expect(grid.describe({ layer: 0, expert: 1 })).not.toContain('super');
});

const cost = { fixed: 0.1, perExpert: 0.2, perToken: 0.01 };

/** Two devices and the CPU. */
function devices(tokens: [number, number, number], busy: [number, number, number], copied: number): ExpertDevices {
  const device = (id: string, i: 0 | 1) => ({
    id,
    lost: false,
    budgetBytes: 10,
    bytes: 10,
    tokens: tokens[i],
    lowTokens: 0,
    copied,
    bytesCopied: copied * 100,
    fetched: 0,
    bytesFetched: 0,
    rowMilliseconds: 0.01,
    cost,
  });
  const layer = { layer: 1, slots: [2, 1], copies: '00010302', lowCopies: '', totalMilliseconds: Math.max(...busy), busyMilliseconds: busy };
  const rest = {
    replication: true,
    cpuHelps: true,
    fetching: true,
    replicaPrecision: null,
    moving: 0,
    error: null,
    cpuTokens: tokens[2],
    cpuCost: cost,
    bytesMost: 40,
  };
  return { ...rest, devices: [device('A', 0), device('B', 1)], layers: [layer] };
}

it('says on which devices an expert has copies', () => {
  const grid = new TierGrid({ store: store(1, 1, 1), devices: devices([0, 0, 0], [0, 0, 0], 0) });
  expect([...grid.values]).toEqual([0, 3, 4, 3]);
  expect(highestTier(devices([0, 0, 0], [0, 0, 0], 0))).toBe(4);
  expect([2, 3, 4].map(tierText)).toEqual(['in RAM', 'on 1 GPU', 'on 2 GPUs']);
  expect(grid.describe({ layer: 0, expert: 2 })).toContain('on A, B, on its way to RAM');
  expect(grid.describe({ layer: 0, expert: 3 })).toContain('on B, on disk');
  const placement = devices([0, 0, 0], [0, 0, 0], 0);
  const lowered = { ...placement, layers: placement.layers.map((layer) => ({ ...layer, lowCopies: '01000300' })) };
  const low = new TierGrid({ store: store(1, 1, 1), devices: lowered });
  expect(low.describe({ layer: 0, expert: 0 })).toContain('on A in low precision');
  expect(low.describe({ layer: 0, expert: 2 })).toContain('on A, B, '); // in full precision, too
});

it('gives what devices did between two looks', () => {
  const rates = deviceRates(devices([10, 10, 10], [1, 1, 1], 0), devices([40, 20, 20], [4, 2, 1.5], 3), 2);
  expect(rates.shares).toEqual([0.6, 0.2, 0.2]);
  expect(rates.linkRates).toEqual([150, 150]);
  expect(rates.balance).toBe(1.5);
  expect(rates.layers).toEqual([{ total: 3, busy: [3, 1, 0.5] }]);
  const same = devices([1, 1, 1], [1, 1, 1], 0);
  expect(deviceRates(same, same, 1)).toMatchObject({ shares: [0, 0, 0], balance: null });
});
