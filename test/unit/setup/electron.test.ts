import { describe, expect, it } from 'vitest';
import { failedLately, REMEMBER_HOURS, whyNoWindow } from '../../../main/setup/electron.mjs';

const desktop = { platform: 'linux', environment: { DISPLAY: ':0' }, isRoot: false };

describe('whyNoWindow', () => {
  it('is null on a desktop', () => {
    expect(whyNoWindow(desktop)).toBeNull();
    expect(whyNoWindow({ ...desktop, environment: { WAYLAND_DISPLAY: 'wayland-0' } })).toBeNull();
    expect(whyNoWindow({ platform: 'darwin', environment: {}, isRoot: false })).toBeNull();
  });
  it('says CI', () => expect(whyNoWindow({ ...desktop, environment: { DISPLAY: ':0', CI: 'true' } })).toContain('CI'));
  it('says that there is no display', () => expect(whyNoWindow({ ...desktop, environment: {} })).toContain('DISPLAY'));
  it('says that the sandbox does not work for root', () => expect(whyNoWindow({ ...desktop, isRoot: true })).toContain('root'));
});

describe('failedLately', () => {
  const now = 1_800_000_000_000;
  const hours = (count: number) => String(now - count * 3_600_000);
  it('is true for a day', () => expect([failedLately(hours(0), now), failedLately(hours(REMEMBER_HOURS - 1), now)]).toEqual([true, true]));
  it('is false after it', () => expect(failedLately(hours(REMEMBER_HOURS), now)).toBe(false));
  it.each([null, '', 'x', hours(-5)])('is false for a stamp of %s', (stamp) => expect(failedLately(stamp, now)).toBe(false));
});
