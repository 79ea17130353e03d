// `moebius plan` as a user runs it: memory as a load takes it, described hardware, refusal with the numbers, a trace's hit rate.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PlanResult } from '../../main/engine/protocol.ts';
import { tinyModel } from '../support/engine.ts';

const program = join(import.meta.dirname, '../../main/cli/moebius.mjs');
const run = async (...parameters: string[]) => (await promisify(execFile)(process.execPath, [program, ...parameters], { maxBuffer: 64 << 20 })).stdout;
const plan = async (...parameters: string[]): Promise<PlanResult> => PlanResult.parse(JSON.parse(await run('plan', tinyModel, '--json', ...parameters)));
const HERE = ['--threads', '1', '--sequences', '1', '--context', '512', '--devices', ','];
const GPU = { id: 'G', memoryBytes: 2 ** 30, bandwidth: 1e12, flops: 1e14, linkBandwidth: 2e10 };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-plan-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('moebius plan', () => {
  it('tells memory and speed of this machine, and what limits it', async () => {
    const result = await plan(...HERE);
    const [cpu] = result.memory.devices;
    expect(cpu?.experts).toBeGreaterThan(20e6);
    expect(cpu?.need).toBe((cpu?.weights ?? 0) + (cpu?.experts ?? 0) + (cpu?.kvCache ?? 0) + (cpu?.compute ?? 0));
    expect(result.placement.blocks).toEqual([{ device: 'CPU', first: 0, last: 3 }]);
    expect(result.hitRate).toMatchObject({ rate: 1, source: 'all' });
    for (const speed of [result.prefill, result.decode]) {
      expect(speed.tokensPerSecond).toBeGreaterThan(0);
      expect(speed.bottleneck).toBe(speed.limits[0]?.resource);
      expect(speed.limits.map((limit) => limit.tokensPerSecond)).toEqual(speed.limits.map((limit) => limit.tokensPerSecond).toSorted((a, b) => a - b));
    }
    expect(result.prefill.tokensPerSecond).toBeGreaterThan(result.decode.tokensPerSecond);
  });

  it('fills described GPUs with layers first and experts then; a faster one is faster', async () => {
    const rig = (bandwidth: number) => JSON.stringify({ devices: [{ ...GPU, bandwidth }], ramBandwidth: 5e10, cpuFlops: 1e12, nodeSeconds: 0 });
    const slow = await plan(...HERE, '--rig', rig(1e10));
    const fast = await plan(...HERE, '--rig', rig(1e12));
    expect(slow.placement).toMatchObject({ blocks: [{ device: 'G', first: 0, last: 3 }], output: 'G' });
    expect(slow.placement.experts.map((layer) => layer.slots.G)).toEqual([32, 32, 32, 32]);
    expect(fast.decode.tokensPerSecond).toBeGreaterThan(slow.decode.tokensPerSecond * 1.2);
    expect(slow.hardware.map((device) => device.measured)).toEqual([false, false]);
  });

  it('leaves experts on disk when the RAM is small, and hits as the recorded routing would', async () => {
    const trace = join(folder, 'tiny.moetrace');
    await run('trace', tinyModel, '-o', trace, '--threads', '1', '--prompt', 'In the beginning', '-n', '64', '--seed', '7');
    const rig = JSON.stringify({ ramBytes: 24_000_000 });
    const [guess, traced] = [await plan(...HERE, '--rig', rig), await plan(...HERE, '--rig', rig, '--trace', trace)];
    expect(guess.placement.experts[0]?.onlyOnDisk).toBeGreaterThan(0);
    expect(guess.diskBandwidth).toBeGreaterThan(1e6);
    expect([guess.hitRate.source, traced.hitRate.source]).toEqual(['guess', 'trace']);
    expect(traced.hitRate.rate).toBeGreaterThan(0);
    expect(traced.hitRate.rate).toBeLessThan(1);
    expect(traced.offloading?.segments.length).toBeGreaterThan(0);
    expect(guess.offloading).toBeNull();
  });

  it('refuses what cannot fit, with need and have in bytes', async () => {
    const refused = plan(...HERE, '--rig', JSON.stringify({ ramBytes: 5_000_000 }));
    await expect(refused).rejects.toMatchObject({ stderr: expect.stringMatching(/model\.does-not-fit.*"need":\d+,"have":4750000/) });
    const hopeless = plan('--context', '16777216', '--sequences', '64', '--devices', ',');
    await expect(hopeless).rejects.toMatchObject({ stderr: expect.stringMatching(/model\.does-not-fit.*"need":\d+,"have":\d+/) });
  });
});
