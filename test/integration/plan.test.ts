// `moebius plan` as a user runs it: memory as a load takes it, described hardware, refusal with the numbers, a trace's hit rate.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PlanResult } from '../../main/engine/protocol.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { startRpcServers } from '../support/rpc-servers.ts';

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

  it('plans copies on GPUs of given budgets as the load makes them, and what nobody has on disk', async () => {
    await using rig = await startRpcServers(2, { memory: 40_000_000 });
    const ids = rig.servers.map(({ device }) => device);
    const budgets = [12_000_000, 6_000_000];
    const options = ['--expert-ram', '5000000', '--expert-devices', ids.map((id, i) => `${id}=${budgets[i]}`).join(',')];
    const result = await plan(...HERE, ...options);
    expect(result.memory.devices.map(({ id }) => id)).toEqual(['CPU', ...ids]);
    const engine = await startEngine();
    try {
      const loaded = await engine.call('model.load', { path: tinyModel, options: result.options });
      const { devices, store } = await engine.call('experts.status', { model: loaded.model });
      expect(devices?.layers.map(({ slots }) => slots)).toEqual(result.placement.experts.map(({ slots }) => ids.map((id) => slots[id])));
      expect(store?.layers.map(({ slots }) => slots)).toEqual(result.placement.experts.map(({ slots }) => slots.CPU));
      for (const { id, experts, compute } of result.memory.devices.slice(1))
        expect(loaded.memory.find((device) => device.id === id)).toMatchObject({ experts, compute });
    } finally {
      await engine.dispose();
    }
    const onDisk = result.placement.experts.map((layer) => layer.onlyOnDisk);
    expect(Math.min(...onDisk)).toBeGreaterThan(0);
    expect(result.hitRate.rate).toBeLessThan(1);
    expect(result.hardware.map(({ measured }) => measured)).toEqual([true, true, true]);
    for (const id of ids) expect(result.prefill.limits.map(({ resource }) => resource)).toContain(`${id} compute`);
    const large = plan(...HERE, '--expert-ram', '5000000', '--expert-devices', `${ids[0]}=39000000`, '--batch', '4096', '--context', '4096');
    await expect(large).rejects.toMatchObject({ stderr: expect.stringMatching(/model\.does-not-fit.*"need":\d+,"have":\d+,"device":"RPC0@/) });
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
