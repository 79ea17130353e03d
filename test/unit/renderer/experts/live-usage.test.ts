import { describe, expect, it } from 'vitest';
import { LiveUsage } from '../../../../renderer/experts/live-usage.ts';

function cells(...list: [cell: number, count: number][]): Uint8Array {
  const data = new DataView(new ArrayBuffer(list.length * 12));
  list.forEach(([cell, count], index) => {
    data.setUint32(index * 12, cell, true);
    data.setUint32(index * 12 + 4, count, true);
    data.setFloat32(index * 12 + 8, count / 2, true);
  });
  return new Uint8Array(data.buffer);
}

describe('LiveUsage', () => {
  it('halves every half-life and keeps totals', () => {
    const usage = new LiveUsage(2, 3, 2, 10);
    usage.add(cells([0, 8], [5, 4]), 3, 10);
    usage.decayTo(12);
    expect([...usage.values]).toEqual([4, 0, 0, 0, 0, 2]);
    usage.add(cells([5, 1]), 1, 14);
    expect([...usage.values]).toEqual([2, 0, 0, 0, 0, 2]);
    expect([...usage.totals]).toEqual([8, 0, 0, 0, 0, 5]);
    expect(usage.tokens).toBe(4);
  });

  it('goes quiet when all has faded, and wakes with the next frame', () => {
    const usage = new LiveUsage(1, 1, 1, 0);
    expect(usage.quiet).toBe(true);
    usage.add(cells([0, 1]), 1, 0);
    expect(usage.quiet).toBe(false);
    usage.decayTo(60);
    expect([usage.quiet, usage.values[0]]).toEqual([true, 0]);
    usage.add(cells([0, 1]), 1, 61);
    expect([usage.quiet, usage.values[0]]).toEqual([false, 1]);
  });

  it('never fades with an infinite half-life', () => {
    const usage = new LiveUsage(1, 1, Number.POSITIVE_INFINITY, 0);
    usage.add(cells([0, 1]), 1, 0);
    usage.decayTo(1e6);
    expect(usage.values[0]).toBe(1);
  });

  it('brings everything back when the half-life becomes infinite', () => {
    const usage = new LiveUsage(1, 1, 1, 0);
    usage.add(cells([0, 3]), 1, 0);
    usage.setHalfLife(Number.POSITIVE_INFINITY, 100);
    expect(usage.values[0]).toBe(3);
  });

  it('ignores cells outside the grid and a torn last cell', () => {
    const usage = new LiveUsage(1, 2, 1, 0);
    usage.add(cells([1, 1], [2, 9]).subarray(0, 23), 1, 0);
    expect([...usage.values]).toEqual([0, 1]);
  });
});
