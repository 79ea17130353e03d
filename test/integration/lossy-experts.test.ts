// The modes that change answers: off by default, made ready in the background, switched while the model is used, counted where a client sees it.
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { LossyExperts } from '../../main/engine/protocol.ts';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';

vi.setConfig({ testTimeout: 60_000 });

const options = { devices: [], contextLength: 256, threads: 1, expertRamBytes: 6_000_000 };
const folder = mkdtempSync(join(tmpdir(), 'moebius-lossy-'));
const path = join(folder, 'model.gguf');

const prose = 'In the beginning the king sent messengers to all the cities, and the people of the land came together to hear what he would say. '.repeat(12);

let engine: EngineSupervisor;
beforeAll(async () => {
  copyFileSync(tinyModel, path);
  engine = await startEngine();
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const lossyOf = async (model: number) => (await engine.call('experts.status', { model })).store?.lossy;

async function reply(model: number) {
  let text = '';
  const parameters = { model, prompt: 'The mountain', maxTokens: 40, sampling: { temperature: 0 }, ignoreEndOfGeneration: true, cachePrompt: false };
  const { lossy } = await engine.call('generate', parameters, {
    onTokens: (tokens) => {
      text += tokens.map((token) => token.text).join('');
    },
  });
  return { text, lossy };
}

it('is off until it is asked for, and off again when it is told so', async () => {
  const { model, options: used } = await engine.call('model.load', { path, options });
  expect(used.lossyExperts).toBeUndefined();
  expect(await lossyOf(model)).toBeNull();
  const exact = await reply(model);
  expect(exact.lossy).toBeNull();
  expect(readdirSync(folder)).toEqual(['model.gguf']);

  const lossyExperts: LossyExperts = { lowPrecision: { type: 'q2_k', above: 0.5 } };
  const before = (await engine.call('experts.configure', { model, lossyExperts })).store;
  expect(before.ramBytes).toBeLessThanOrEqual(options.expertRamBytes);
  await expect.poll(async () => (await lossyOf(model))?.lowPrecisionCopies?.state, { timeout: 30_000 }).toBe('ready');
  expect(existsSync(`${path}.q2_k`)).toBe(true);
  const low = await reply(model);
  expect(low.lossy?.lowPrecision).toBeGreaterThan(10);
  expect(low.lossy?.skipped).toBe(0);
  const { store } = await engine.call('experts.status', { model });
  expect(store?.lossy).toMatchObject({ ...low.lossy, lowPrecisionCopies: { above: 0.5, ramShare: 0.2, written: 1, problem: null } });
  expect(store?.lossy?.layers.reduce((sum, layer) => sum + layer.lowPrecision, 0)).toBe(low.lossy?.lowPrecision);
  expect(store?.lossy?.bytesNotRead).toBeGreaterThan(store?.lossy?.lowPrecisionCopies?.bytesRead ?? Number.POSITIVE_INFINITY);
  expect(store?.ramBytes).toBeLessThanOrEqual(options.expertRamBytes);

  await engine.call('experts.configure', { model, lossyExperts: { lowPrecision: { type: 'q2_k', above: 1 } } });
  expect(await reply(model)).toMatchObject({ text: exact.text, lossy: { lowPrecision: 0, skipped: 0 } });
  await engine.call('experts.configure', { model, lossyExperts: {} });
  expect(await reply(model)).toEqual(exact);
  await engine.call('model.unload', { model });
});

it('comes with the load when it is an option there', async () => {
  const lossyExperts: LossyExperts = { lowPrecision: { above: 0.6, ramShare: 0.3 } };
  const { model, memory, options: used } = await engine.call('model.load', { path, options: { ...options, lossyExperts } });
  expect(memory[0]?.experts).toBe((await engine.call('experts.status', { model })).store?.ramBytes);
  expect(used.lossyExperts).toEqual({ lowPrecision: { type: 'q2_k', above: 0.6, ramShare: 0.3 } });
  expect(await lossyOf(model)).toMatchObject({ assignments: 0, lowPrecisionCopies: { state: 'ready' } });
  expect((await reply(model)).lossy?.lowPrecision).toBeGreaterThan(0);
  await engine.call('model.unload', { model });
});

it('leaves nothing out of a model that was not calibrated, and afterwards no more than was found harmless', async () => {
  const { model } = await engine.call('model.load', { path, options });
  const skip = (budget: number) => engine.call('experts.configure', { model, lossyExperts: { skip: { budget } } });
  await expect(skip(0.01)).rejects.toMatchObject({ code: 'request.invalid', message: expect.stringMatching(/moebius calibrate/) });
  await expect(engine.call('experts.calibrate', { model, text: 'short' })).rejects.toThrow(/at least 256/);

  const stages: string[] = [];
  const found = await engine.call('experts.calibrate', { model, text: prose }, { onProgress: ({ stage }) => stages.push(stage) });
  expect(stages).toContain('calibrate');
  expect(found.layers.map(({ layer }) => layer)).toEqual([0, 1, 2, 3]);
  for (const { steps } of found.layers) {
    expect(steps[0]).toEqual({ above: 1, harm: 0, skipped: 0 });
    expect(steps.at(-1)?.skipped).toBeCloseTo(0.5, 5); // two experts a token, of which the second may go
    expect(steps.at(-1)?.harm).toBeGreaterThan(0.001);
    for (const [i, step] of steps.entries()) expect(step.harm).toBeGreaterThanOrEqual(steps[i - 1]?.harm ?? 0);
  }
  const [little, much] = [found.checks[0], found.checks.at(-1)];
  expect(little?.skipped).toBeLessThan(much?.skipped ?? 0);
  expect(much?.harm).toBeGreaterThan(little?.harm ?? Number.POSITIVE_INFINITY);
  expect(much?.harm).toBeLessThan(3 * (much?.budget ?? 0)); // harms of layers do not add up exactly

  const exact = await reply(model);
  await skip(0.1);
  const skipping = await reply(model);
  expect(skipping.lossy?.skipped).toBeGreaterThan(0);
  expect(skipping.lossy?.lowPrecision).toBe(0);
  expect((await lossyOf(model))?.skip?.budget).toBe(0.1);
  await skip(0);
  expect(await reply(model)).toMatchObject({ text: exact.text, lossy: { skipped: 0 } });
  await engine.call('model.unload', { model });
});

it('names what is wrong with numbers', async () => {
  const load = (lossyExperts: object, more = {}) =>
    engine.call('model.load', { path, options: { ...options, lossyExperts: lossyExperts as LossyExperts, ...more } });
  await expect(load({ lowPrecision: { above: 0.5 } }, { expertRamBytes: 0 })).rejects.toMatchObject({
    code: 'request.invalid',
    message: expect.stringMatching(/expertRamBytes/),
  });
  await expect(load({ lowPrecision: { above: 0.5 } }, { expertRamBytes: 1_000_000 })).rejects.toMatchObject({
    code: 'model.does-not-fit',
    message: expect.stringMatching(/1000000/),
  });
  await expect(load({ lowPrecision: { above: 1.5 } })).rejects.toThrow(/above/);
  expect((await engine.call('model.list', {})).models).toEqual([]);
});
