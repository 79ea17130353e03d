import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../main/cli/options.ts';
import { type DeviceFlags, deviceReplayText, toDeviceParameters } from '../../../main/cli/simulate-devices.ts';
import type { DeviceReplay, DeviceReplayResult } from '../../../main/contract/index.ts';

const parameters = (flags: DeviceFlags) => toDeviceParameters('/t.moetrace', flags);

describe('options of moebius simulate --devices', () => {
  it('describe devices of one speed, or of several', () => {
    expect(parameters({ devices: 2, deviceSlots: 16 })).toEqual({
      path: '/t.moetrace',
      devices: [
        { slots: 16, speed: 1, bandwidth: 1 },
        { slots: 16, speed: 1, bandwidth: 1 },
      ],
    });
    const flags = {
      devices: 2,
      deviceSlots: 16,
      speeds: '1,0.5',
      bandwidths: '1,0.05',
      batch: 128,
      window: 2,
      atOnce: true,
      capacityFactor: 1.25,
      bytesPerExpert: 1000,
      lowShare: 0.5,
    };
    expect(parameters(flags)).toMatchObject({
      devices: [
        { speed: 1, bandwidth: 1 },
        { speed: 0.5, bandwidth: 0.05 },
      ],
      batch: 128,
      window: 2,
      atOnce: true,
      capacityFactor: 1.25,
      bytesPerExpert: 1000,
      lowShare: 0.5,
    });
  });

  it.each<[DeviceFlags, string]>([
    [{ devices: 2 }, '--device-slots'],
    [{ devices: 3, deviceSlots: 8, speeds: '1,1' }, '--speeds names 2'],
    [{ devices: 2, deviceSlots: 8, speeds: '1,fast' }, 'speed'],
    [{ devices: 2, deviceSlots: 8, bandwidths: '1' }, '--bandwidths names 1'],
    [{ devices: 2, deviceSlots: 0 }, 'slots'],
    [{ devices: 0, deviceSlots: 8 }, 'devices'],
    [{ devices: 9, deviceSlots: 8 }, 'devices'],
    [{ devices: 2, deviceSlots: 8, window: 0 }, 'window'],
  ])('%j is bad usage', (flags, named) => {
    expect(() => parameters(flags)).toThrow(UsageError);
    expect(() => parameters(flags)).toThrow(named);
  });
});

describe('the report of moebius simulate --devices', () => {
  const row: DeviceReplay = {
    policy: 'adaptive',
    balanceMean: 1.0154,
    balanceWorst: 1.281,
    makespan: 10,
    survivedOnDevices: 0.995,
    survivedOnCopies: 0.851,
    copiesMoved: 26,
    bytesMoved: 0,
    windows: 13,
    lowShare: 0.125,
    devicesPerToken: 1.75,
    slowRows: 0.25,
    hopsPerToken: 0.5,
  };
  const result: DeviceReplayResult = { model: 'Tiny', whole: true, batches: 13, layers: 4, experts: 32, policies: [row] };

  it('gives balance, survivors and copies per window', () => {
    expect(deviceReplayText(result)).toMatch(/Tiny: 13 batches, 4 layers of 32 experts/);
    expect(deviceReplayText(result)).toMatch(/adaptive +1\.015 +1\.281 +99\.5% +85\.1% +1\.75 +25\.0% +12\.5% +2\.0/);
    expect(deviceReplayText(result)).not.toMatch(/bytes/);
  });

  it('gives bytes where an expert has a size, and says that a file is cut', () => {
    const text = deviceReplayText({ ...result, whole: false, policies: [{ ...row, bytesMoved: 26 * 2 ** 20 }] });
    expect(text).toMatch(/bytes\/window/);
    expect(text).toMatch(/2\.00 MiB/);
    expect(text).toMatch(/cut or damaged/);
  });
});
