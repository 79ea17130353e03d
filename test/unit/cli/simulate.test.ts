import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../main/cli/options.ts';
import { replayText, type SimulateFlags, toReplayParameters } from '../../../main/cli/simulate.ts';
import type { PolicyReplay, ReplayResult } from '../../../main/contract/index.ts';

const parameters = (flags: SimulateFlags) => toReplayParameters('/t.moetrace', flags);

describe('options of moebius simulate', () => {
  it('replay every policy with twice the active experts, and read ahead, unless told otherwise', () => {
    expect(parameters({})).toEqual({ path: '/t.moetrace', slotsFactor: 2, readAhead: {} });
    expect(parameters({ policy: 'all' }).policies).toBeUndefined();
  });

  it('pass on what was given', () => {
    const flags = { slots: 6, policy: 'lookahead-3', promptBatch: 64, allocation: 'marginal', readAhead: 3, target: 0.8, bytesPerExpert: 1000 };
    expect(parameters(flags)).toEqual({
      path: '/t.moetrace',
      slots: 6,
      policies: ['lookahead-3'],
      promptBatch: 64,
      allocation: 'marginal',
      readAhead: { most: 3 },
      bytesPerExpert: 1000,
      targetHitRate: 0.8,
    });
    expect(parameters({ slotsFactor: 1.5 })).toMatchObject({ slotsFactor: 1.5 });
    expect(parameters({ readAhead: 0 }).readAhead).toBeUndefined();
  });

  it('turn RAM into slots of all layers', () => {
    expect(parameters({ ram: 10_999, bytesPerExpert: 1000 })).toEqual({ path: '/t.moetrace', totalSlots: 10, bytesPerExpert: 1000, readAhead: {} });
  });

  it.each<[SimulateFlags, string]>([
    [{ slots: 2, slotsFactor: 2 }, 'not several'],
    [{ slots: 2, ram: 1000, bytesPerExpert: 10 }, 'not several'],
    [{ ram: 1000 }, '--bytes-per-expert'],
    [{ ram: 1000, bytesPerExpert: 0 }, '--bytes-per-expert'],
    [{ ram: 1000, bytesPerExpert: 1001 }, 'no expert'],
    [{ slots: 0 }, 'slots'],
    [{ allocation: 'deep' }, 'allocation'],
    [{ promptBatch: 0 }, 'promptBatch'],
    [{ readAhead: -1 }, 'readAhead'],
    [{ target: 1.5 }, 'targetHitRate'],
  ])('%j is bad usage', (flags, named) => {
    expect(() => parameters(flags)).toThrow(UsageError);
    expect(() => parameters(flags)).toThrow(named);
  });
});

describe('the report of moebius simulate', () => {
  const figures = { uses: 100, hits: 40, misses: 60, prefetched: 0, useful: 0, hitRate: 0.4 };
  const policy = (change: Partial<PolicyReplay>): PolicyReplay => ({
    ...figures,
    policy: 'lru',
    readAhead: 0,
    slots: [4, 4],
    readsPerToken: 1.2,
    bytesPerToken: null,
    layers: [figures, figures],
    ...change,
  });
  const result: ReplayResult = {
    model: 'm',
    moeLayers: [0, 1],
    expertCount: 32,
    expertUsedCount: 2,
    tokens: 50,
    batches: 44,
    whole: true,
    allocation: 'uniform',
    policies: [policy({}), policy({ policy: 'foresight', readAhead: 2, slots: [3, 5], prefetched: 9, useful: 7 })],
    best: 'foresight',
    consistency: { factor: 2, segments: [{ length: 16, segmentRouting: 0.61, segmentCache: 0.55 }], suitability: 0.49 },
    advice: { policy: 'foresight', targetHitRate: 0.9, slots: 18, knee: 11, curve: [] },
  };

  it('shows hits, misses and reads of every policy', () => {
    const lines = replayText(result).split('\n');
    expect(lines).toContainEqual(expect.stringMatching(/^lru +4 +40\.0% +60 +- +1\.20$/));
    expect(lines).toContainEqual(expect.stringMatching(/^foresight, reading ahead +3\.\.5 +40\.0% +60 +9 \(7 used\) +1\.20$/));
    expect(replayText(result)).toContain('18 slots a layer reach 90.0%');
  });

  it('shows bytes where the size of an expert is known, and says what is damaged or out of reach', () => {
    const text = replayText({ ...result, whole: false, policies: [policy({ bytesPerToken: 2048 })], advice: { ...result.advice, slots: null } });
    expect(text).toContain('bytes/token');
    expect(text).toContain('2.00 KiB');
    expect(text).toContain('cut or damaged');
    expect(text).toContain('no number of slots reaches 90.0%');
  });
});
