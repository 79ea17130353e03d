// A model whose experts are partly on disk, as a client of the engine and a user of the command line see it.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';

const execute = promisify(execFile);
const EXPERT_RAM = 14_000_000;

let engine: EngineSupervisor;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.dispose());

it('keeps to the RAM that was asked for and counts every use of an expert', async () => {
  const options = { devices: [], contextLength: 256, expertRamBytes: EXPERT_RAM, expertPolicy: 'lru' as const };
  const { model, memory, inspection } = await engine.call('model.load', { path: tinyModel, options });
  const before = (await engine.call('experts.status', { model })).store;
  expect(before).toMatchObject({ policy: 'lru', hits: 0, late: 0, misses: 0 });
  expect(before?.ramBytes).toBeLessThanOrEqual(EXPERT_RAM);
  expect(before?.ramBytes).toBeGreaterThan(EXPERT_RAM * 0.9);
  expect(memory[0]?.experts).toBe(before?.ramBytes);
  expect(before?.layers.map(({ layer }) => layer)).toEqual(inspection.moeLayers);
  for (const { tiers, slots } of before?.layers ?? []) expect(tiers.replaceAll('d', '')).toBe('r'.repeat(slots));

  await engine.call('generate', { model, prompt: 'The mountain', maxTokens: 32, sampling: { temperature: 0 }, ignoreEndOfGeneration: true });
  const after = (await engine.call('experts.status', { model })).store;
  const uses = (after?.hits ?? 0) + (after?.late ?? 0) + (after?.misses ?? 0);
  // 31 decoded tokens use expertUsedCount experts in each layer; the prompt's batch at least as many, and at most as often per token
  const perToken = inspection.expertUsedCount * inspection.moeLayers.length;
  expect(uses).toBeGreaterThanOrEqual(32 * perToken);
  expect(uses).toBeLessThanOrEqual(36 * perToken);
  expect(after?.misses).toBeGreaterThan(0);
  expect(after?.bytesRead).toBeGreaterThan(before?.bytesRead ?? Number.POSITIVE_INFINITY);
  await engine.call('model.unload', { model });
});

it('reads ahead by default, tells what came of it, and stops when told to', async () => {
  const options = { devices: [], contextLength: 512, expertRamBytes: EXPERT_RAM / 2 };
  const { model, options: used } = await engine.call('model.load', { path: tinyModel, options });
  expect(used.expertPrefetch).toBe('auto');
  const generate = () => engine.call('generate', { model, prompt: 'The mountain', maxTokens: 100, sampling: { temperature: 0 }, ignoreEndOfGeneration: true });
  const whole = await generate();
  const { prefetch } = (await engine.call('experts.status', { model })).store ?? {};
  expect(prefetch?.mode).toBe('auto');
  expect(prefetch?.computeMilliseconds).toBeGreaterThan(0);
  expect(prefetch?.predictors.map(({ name }) => name)).toEqual(['router', 'tokens', 'history']);
  const router = prefetch?.predictors[0];
  expect(router?.layers.map(({ uses }) => uses > 0)).toEqual([false, true, true, true]);
  expect((router?.right ?? 0) / (router?.uses ?? 1)).toBeGreaterThan(0.3);
  for (const { read, used: inTime, late, wasted } of prefetch?.predictors ?? []) {
    expect(inTime + late + wasted).toBeLessThanOrEqual(read);
    expect(inTime + late + wasted).toBeGreaterThanOrEqual(read - 16);
  }
  const { store } = await engine.call('experts.configure', { model, prefetch: 'off' });
  expect(store.prefetch.mode).toBe('off');
  expect(await generate()).toMatchObject({ tokens: whole.tokens });
  const after = (await engine.call('experts.status', { model })).store?.prefetch.predictors;
  expect(after?.map(({ read, depth }) => ({ read, depth }))).toEqual(prefetch?.predictors.map(({ read }) => ({ read, depth: 0 })));
  await engine.call('model.unload', { model });
});

it('protects the super experts that it is told of, until it has seen enough to know better', async () => {
  const options = { devices: [], contextLength: 256, expertRamBytes: EXPERT_RAM };
  const { model, inspection } = await engine.call('model.load', { path: tinyModel, options });
  const layer = inspection.moeLayers[1] ?? 0;
  const status = async () => (await engine.call('experts.status', { model })).store;
  expect([null, []]).toContainEqual((await status())?.superExperts); // on a fast machine the warm-up has shown enough
  const told = { layer, expert: 30, peak: 900 };
  await engine.call('experts.configure', { model, superExperts: [told] });
  expect((await status())?.superExperts).toEqual([{ ...told, protected: true }]);
  await expect.poll(async () => (await status())?.layers[1]?.tiers[30]).toBe('r');
  await expect(engine.call('experts.configure', { model, superExperts: [{ ...told, layer: 99 }] })).rejects.toMatchObject({ code: 'request.invalid' });

  await engine.call('generate', {
    model,
    prompt: 'The mountain '.repeat(40),
    maxTokens: 64,
    sampling: { temperature: 1, seed: 3 },
    ignoreEndOfGeneration: true,
  });
  expect((await status())?.superExperts).toEqual([]); // tiny-moe has none
  await engine.call('model.unload', { model });
});

it('has no store where every expert is loaded', async () => {
  const { model, options } = await engine.call('model.load', { path: tinyModel, options: { devices: [], contextLength: 256 } });
  expect(options.expertRamBytes).toBe(0);
  expect(await engine.call('experts.status', { model })).toEqual({ store: null, devices: null });
  await engine.call('model.unload', { model });
});

it('takes a ring where two experts a layer do not fit, and refuses less than three experts in all with the bytes that it needs', async () => {
  const options = { devices: [], contextLength: 256 };
  const { model } = await engine.call('model.load', { path: tinyModel, options: { ...options, expertRamBytes: 1_000_000 } });
  await engine.call('generate', { model, prompt: 'The mountain', maxTokens: 4, sampling: { temperature: 0 } });
  const { store } = await engine.call('experts.status', { model });
  expect(store).toMatchObject({ storage: 'ring', policy: 'ring' });
  expect(store?.prefetch).toMatchObject({ mode: 'auto', predictors: [{ name: 'round', savedMilliseconds: null }] });
  expect(store?.ramBytes).toBeLessThanOrEqual(1_000_000);
  await expect(engine.call('experts.configure', { model, policy: 'lru' })).rejects.toMatchObject({ code: 'request.invalid' });
  await engine.call('model.unload', { model });
  const load = engine.call('model.load', { path: tinyModel, options: { ...options, expertRamBytes: 1000 } });
  await expect(load).rejects.toMatchObject({ code: 'model.does-not-fit', message: expect.stringMatching(/1000 bytes is too small.* takes \d+ bytes/) });
});

it('is told by moebius generate', async () => {
  const cli = join(import.meta.dirname, '../../main/cli/moebius.mjs');
  const parameters = ['generate', tinyModel, '-p', 'The mountain', '-n', '4', '--expert-ram', String(EXPERT_RAM), '--expert-policy', 'lfu'];
  const { stderr } = await execute(process.execPath, [cli, ...parameters]);
  expect(stderr).toMatch(/experts: 0\.01 GB of 0\.0\d GB in RAM, \d+\.\d% of uses found there; 0\.\d\d GB read/);
  const { stdout } = await execute(process.execPath, [cli, ...parameters, '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ expertStore: { policy: 'lfu', diskBytes: expect.toSatisfy((bytes) => bytes > EXPERT_RAM) } });
});
