// `moebius plan` as a user runs it: memory as a load takes it, described hardware, refusal with the numbers, a trace's hit rate.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addModelOptions, toLoadOptions } from '../../main/cli/options.ts';
import { planText, splitFlags } from '../../main/cli/plan.ts';
import { PlanResult } from '../../main/engine/protocol.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { startRpcServers } from '../support/rpc-servers.ts';

const program = join(import.meta.dirname, '../../main/cli/moebius.mjs');
const run = async (...parameters: string[]) => (await promisify(execFile)(process.execPath, [program, ...parameters], { maxBuffer: 64 << 20 })).stdout;
const plan = async (...parameters: string[]): Promise<PlanResult> => PlanResult.parse(JSON.parse(await run('plan', tinyModel, '--json', ...parameters)));
const HERE = ['--threads', '1', '--sequences', '1', '--context', '512', '--devices', ','];
const GPU = { id: 'G', memoryBytes: 2 ** 30, bandwidth: 1e12, flops: 1e14, linkBandwidth: 2e10 };

/** Layers by device, as llama.cpp puts them. */
const blocksOf = ({ placement, hardware }: PlanResult): Record<string, number> =>
  Object.fromEntries(
    hardware.map(({ id }) => [id, placement.blocks.filter(({ device }) => device === id).reduce((sum, { first, last }) => sum + last - first + 1, 0)]),
  );

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

  it('puts all on a described GPU if that is faster than the RAM, and the faster it is, the faster the model', async () => {
    const rig = (bandwidth: number) => JSON.stringify({ devices: [{ ...GPU, bandwidth }], ramBandwidth: 5e10, cpuFlops: 1e12, nodeSeconds: 0 });
    const [slower, slow] = [await plan(...HERE, '--rig', rig(1e9)), await plan(...HERE, '--rig', rig(1e11))];
    const fast = await plan(...HERE, '--rig', rig(1e12));
    expect(slower.placement).toMatchObject({ blocks: [{ device: 'CPU', first: 0, last: 3 }], output: 'CPU' });
    expect(slow.placement).toMatchObject({ blocks: [{ device: 'G', first: 0, last: 3 }], output: 'G' });
    expect(slow.placement.experts.map((layer) => layer.slots.G)).toEqual([32, 32, 32, 32]);
    expect(fast.decode.tokensPerSecond).toBeGreaterThan(slow.decode.tokensPerSecond * 1.1);
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

  it('splits attention and experts over unequal GPUs each by itself, which is faster than the best split with equal shares', async () => {
    const devices = [
      { ...GPU, id: 'fast', memoryBytes: 16_000_000, bandwidth: 1e11, flops: 1e13 },
      { ...GPU, id: 'slow', memoryBytes: 60_000_000, bandwidth: 2e10, flops: 2e12 },
    ];
    const rig = JSON.stringify({ devices, ramBandwidth: 5e9, cpuFlops: 1e11, nodeSeconds: 1e-7 });
    const result = await plan(...HERE, '--batch', '64', '--rig', rig);
    const folding = result.folding;
    if (!folding) throw new Error('the plan of a rig has no folding');
    expect(folding.speedup).toBeGreaterThan(1.2);
    expect(folding.speedup).toBeCloseTo(folding.coupled.seconds / folding.chosen.seconds, 6);
    expect(folding.chosen.blocks).toEqual({ CPU: 0, fast: 4, slow: 0 }); // all attention on one, experts on both
    expect(folding.chosen.copies.fast).toBeGreaterThan(0);
    expect(folding.chosen.copies.slow).toBeGreaterThan(0);
    // the plan is that of the chosen split
    expect(result.prefill.seconds + result.replyTokens * result.decode.seconds).toBeCloseTo(folding.chosen.seconds, 9);
    expect(result.placement.experts.map(({ slots }) => [slots.fast, slots.slow])).toEqual(
      Array(4).fill([folding.chosen.copies.fast, folding.chosen.copies.slow]),
    );
    expect(result.options).toMatchObject(folding.chosen.options);
    for (const device of result.memory.devices) expect(device.need).toBeLessThanOrEqual(device.have);
    expect(await run('plan', tinyModel, ...HERE, '--batch', '64', '--rig', rig)).toContain(
      `load it with: --devices fast,slow --gpu-layers 5 --tensor-split 5,0`,
    );
  });

  it('finds the best split over the GPUs of this machine; the flags that it prints load just that', async () => {
    await using rig = await startRpcServers(2, { memory: 100_000_000 });
    const ids = rig.servers.map(({ device }) => device);
    const common = ['--threads', '1', '--sequences', '1', '--context', '512', '--batch', '64'];
    const options = (flags: string[]) => toLoadOptions(addModelOptions(new Command()).parse(flags, { from: 'user' }).opts());
    const engine = await startEngine();
    try {
      const result = await engine.call('plan.make', { path: tinyModel, fold: true, options: options([...common, '--devices', ids.join(',')]) });
      const folding = result.folding;
      if (!folding) throw new Error('there is no split');
      expect(folding.speedup).toBeGreaterThanOrEqual(1);
      expect(planText(result)).toContain(`load it with: ${splitFlags(folding.chosen.options)}`);
      for (const split of [folding.chosen, folding.coupled]) {
        const again = await engine.call('plan.make', { path: tinyModel, options: options([...common, ...splitFlags(split.options).split(' ')]) });
        expect(blocksOf(again)).toEqual(split.blocks); // by llama.cpp's own account
        if (!split.whole)
          expect(again.placement.experts.map(({ slots }) => ids.map((id) => slots[id]))).toEqual(Array(4).fill(ids.map((id) => split.copies[id])));
        for (const device of again.memory.devices) expect(device.need).toBeLessThanOrEqual(device.have);
      }
      const loaded = await engine.call('model.load', { path: tinyModel, options: result.options });
      for (const { id, weights, experts, kvCache } of result.memory.devices) {
        expect(loaded.memory.find((device) => device.id === id)).toMatchObject({ weights, experts, kvCache });
      }
    } finally {
      await engine.dispose();
    }
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
