import { describe, expect, it } from 'vitest';
import { UsageHistory } from '../../../../renderer/experts/usage-history.ts';

const counters = (tokens: number, values = [1, 1]) => ({ layerCount: 1, expertCount: 2, values, tokens });

describe('UsageHistory', () => {
  it('samples at most twice a second', () => {
    const history = new UsageHistory();
    for (let now = 0; now < 10; now += 0.1) history.offer(counters(0), now, now);
    expect(history.series[0].length).toBeLessThanOrEqual(20);
    expect(history.series[0].length).toBeGreaterThanOrEqual(16);
  });

  it('takes the speed of the time between two samples', () => {
    const history = new UsageHistory();
    history.offer(counters(5), 0, 0);
    history.offer(counters(25), 2, 2);
    expect(history.series[3]).toEqual([null, 10]);
  });

  it('shows a gap after 3 s without samples, and no speed across it', () => {
    const history = new UsageHistory();
    history.offer(counters(1), 0, 100);
    history.offer(counters(50), 10, 110);
    expect(history.series).toEqual([
      [100, 109.5, 110],
      [1, null, 1],
      [1, null, 1],
      [null, null, null],
    ]);
  });

  it('has no balance when nothing is counted', () => {
    const history = new UsageHistory();
    history.offer(counters(0, [0, 0]), 0, 0);
    expect([history.series[1], history.series[2]]).toEqual([[null], [null]]);
  });

  it('takes a corrected count for no speed', () => {
    const history = new UsageHistory();
    history.offer(counters(1), 0, 0);
    history.rebase(1000);
    history.offer(counters(1002), 1, 1);
    expect(history.series[3]).toEqual([null, 2]);
  });

  it('keeps the last 3,600 samples', () => {
    const history = new UsageHistory();
    for (let second = 0; second < 4000; second++) history.offer(counters(0), second, second);
    expect([history.series[0].length, history.series[0].at(-1)]).toEqual([3600, 3999]);
  });
});
