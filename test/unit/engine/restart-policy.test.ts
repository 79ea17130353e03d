import { describe, expect, it } from 'vitest';
import { RestartPolicy } from '../../../main/engine/restart-policy.ts';

const minute = 60_000;

describe('RestartPolicy', () => {
  it('restarts three times, later each time, then gives up', () => {
    const policy = new RestartPolicy();
    expect([0, 1000, 5000].map((time) => policy.died(time, false))).toEqual([200, 1000, 3000].map((delay) => ({ restart: true, delay })));
    expect(policy.died(10_000, false)).toEqual({ restart: false, deaths: 4 });
  });

  it('forgets restarts that are five minutes old', () => {
    const policy = new RestartPolicy();
    for (const time of [0, minute, 2 * minute]) policy.died(time, false);
    expect(policy.died(5 * minute, false)).toEqual({ restart: true, delay: 3000 });
    expect(policy.died(5 * minute + 1, false)).toEqual({ restart: false, deaths: 4 });
  });

  it('does not take an engine that worked in between for a crash loop', () => {
    const policy = new RestartPolicy();
    for (let time = 0; time < 50; time++) expect(policy.died(time, true)).toEqual({ restart: true, delay: 200 });
    policy.died(51, false);
    policy.died(52, false);
    expect(policy.died(53, false)).toMatchObject({ restart: false });
  });

  it('starts anew after a reset', () => {
    const policy = new RestartPolicy();
    for (let time = 0; time < 4; time++) policy.died(time, false);
    policy.reset();
    expect(policy.died(5, false)).toEqual({ restart: true, delay: 200 });
  });
});
