import { describe, expect, it } from 'vitest';
import type { TrainEstimate } from '../../../../main/contract/index.ts';
import { aboutText, fitAdvice, MEMORY_PARTS, partBytes, shortText } from '../../../../renderer/pages/fine-tune/new/estimate-text.ts';

type Device = TrainEstimate['devices'][number];
const device: Device = {
  ...{ id: 'CPU', weights: 10, experts: 20, adapter: 3, gradients: 1, optimiser: 2, guardian: 3, layerInputs: 4, compute: 50, saving: 5, data: 1, reserved: 0 },
  ...{ need: 99, memoryFree: 1000, memoryTotal: 2000 },
};
const estimate = (changes: Partial<Device>): TrainEstimate => ({
  ...{ devices: [{ ...device, ...changes }], need: 99, have: 1000, fits: true, isLeast: false, expertsOnDisk: 0, parameters: 1, keptLayers: 4, engineBytes: 1 },
  ...{ tokensPerStep: 256, stepsOfEpoch: 3, steps: 6, time: null },
});

describe('an estimate', () => {
  it('tells a time in as many figures as it is known', () => {
    expect([0.4, 7, 43, 152, 3599, 12_100].map(aboutText)).toEqual([
      'less than a second',
      'about 7 s',
      'about 45 s',
      'about 2 min 30 s',
      'about 1 h',
      'about 3 h 20 min',
    ]);
  });

  it('has every kind of memory in one part', () => {
    expect(MEMORY_PARTS.reduce((sum, part) => sum + partBytes(device, part), 0)).toBe(device.need);
  });

  it('says what does not fit, and what helps most first', () => {
    expect(shortText(estimate({}))).toBeNull();
    expect(shortText(estimate({ memoryTotal: 0, need: 5000 }))).toBeNull(); // the device does not tell
    expect(shortText(estimate({ need: 2048 }))).toBe('2 KiB needed on CPU, 1000 B free.');
    expect(shortText({ ...estimate({ need: 2048 }), isLeast: true })).toBe('More than 2 KiB needed on CPU, 1000 B free.');
    expect(fitAdvice(estimate({}))).toMatch(/^Take fewer tokens in a batch; or less room for experts.*; or smaller ranks/);
    expect(fitAdvice(estimate({ experts: 0, gradients: 100 }))).toMatch(/^Take smaller ranks.*; or fewer tokens in a batch; or close/);
  });
});
