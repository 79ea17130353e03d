// Layout files that the core makes by itself: in the background, behind every reply, and never a part of one.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LayoutState, Method, Parameters, Result } from '../../main/contract/index.ts';
import { type Core, createCore } from '../../main/core.ts';
import { silentLogger } from '../../main/engine/log.ts';
import { tinyModel } from '../support/engine.ts';

vi.setConfig({ testTimeout: 120_000 });

const WAIT = { timeout: 60_000, interval: 50 };
const modelId = 'model';
const options = { devices: [], threads: 1, contextLength: 2048, sequences: 1, expertRamBytes: 14_000_000 };
/** ends only by its length */
const endless = { overflow: 'shift' as const, sampling: { temperature: 0.8, seed: 7, logitBias: [4093, 4095].map((token) => ({ token, bias: -1e9 })) } };

let dataFolder: string;
let path: string;
let layout: string;
let core: Core;
let told: LayoutState[];

beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), 'moebius-keeper-'));
  path = join(dataFolder, 'models', `${modelId}.gguf`);
  layout = `${path}.layout`;
  mkdirSync(join(dataFolder, 'models'));
  copyFileSync(tinyModel, path);
  told = [];
});
afterEach(async () => {
  await core.dispose();
  rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 });
});

// the core answers a method with its result
const call = async <M extends Method>(method: M, parameters: Parameters<M>) => (await core.dispatcher.call(method, parameters)) as Result<M>;
const state = async () => await call('layouts.status', { modelId });
const beside = () => readdirSync(join(dataFolder, 'models')).filter((name) => name.includes('.layout'));

async function start(idleMilliseconds: number, spareBytes = 0): Promise<void> {
  core = await createCore({ dataFolder, embeddedModel: tinyModel, logger: silentLogger, layouts: { idleMilliseconds, spareBytes } });
  core.hub.subscribe((event, payload) => event === 'layouts.changed' && told.push(payload as LayoutState)); // its event has this payload
  await core.start({ api: { enabled: false } });
  await call('settings.set', { reloadModels: false });
  await call('models.scan', {});
  await call('models.load', { id: modelId, options });
}

/** A reply of so many tokens. */
async function reply(maxTokens: number): Promise<{ stop: () => Promise<unknown>; done: () => Promise<void> }> {
  const { id } = await call('chats.create', { modelId });
  await call('chats.update', { id, parameters: { ...endless, maxTokens } });
  const { assistantMessage: message } = await call('chat.send', { chatId: id, text: 'What is a shepherd? '.repeat(20) });
  const isRunning = async () => (await call('chats.get', { id })).messages.some((each) => each.id === message.id && each.state === 'streaming');
  return {
    stop: () => call('chat.stop', { messageId: message.id }),
    done: () => vi.waitFor(async () => expect(await isRunning()).toBe(false), WAIT),
  };
}
const written = () => vi.waitFor(async () => expect(await state()).toMatchObject({ fresh: true, writing: null }), WAIT);

it('is written when the model has been used and is idle, in the order of what was recorded, and used by the next load', async () => {
  await start(300);
  expect(await state()).toMatchObject({ path: layout, bytes: null, used: false, needBytes: expect.any(Number), problem: null });
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(beside()).toEqual([]); // nothing is recorded yet
  await (await reply(400)).done();
  await written();
  const { bytes, needBytes } = (await state()) ?? {};
  expect(bytes).toBe(statSync(layout).size);
  expect(bytes).toBeLessThanOrEqual(needBytes ?? 0);
  expect(told.some(({ writing }) => writing !== null)).toBe(true);
  await call('models.unload', { id: modelId });
  await call('models.load', { id: modelId, options });
  expect(await state()).toMatchObject({ used: true, fresh: false });
  const first = statSync(layout).mtimeMs;
  await (await reply(40)).done();
  await new Promise((resolve) => setTimeout(resolve, 800));
  expect(statSync(layout).mtimeMs).toBe(first); // once
});

it('is held up while a reply is generated, whoever wanted it, and can be cancelled then', async () => {
  await start(3_600_000);
  await (await reply(300)).done();
  const running = await reply(100_000);
  await call('layouts.write', { modelId });
  await vi.waitFor(async () => expect((await state())?.writing?.paused).toBe(true), WAIT);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await state()).toMatchObject({ bytes: null, writing: { paused: true } });
  expect((await state())?.writing?.fraction).toBeLessThan(0.05);
  expect(await call('layouts.decline', { modelId })).toMatchObject({ declined: true, writing: null });
  expect(beside()).toEqual([]);
  await call('layouts.write', { modelId });
  await vi.waitFor(async () => expect((await state())?.writing?.paused).toBe(true), WAIT);
  await running.stop();
  await written();
});

it('of a model that is deleted meanwhile nothing is left', async () => {
  await start(3_600_000);
  const running = await reply(100_000);
  await call('layouts.write', { modelId });
  await vi.waitFor(() => expect(beside()).toEqual([`${modelId}.gguf.layout.tmp`]), WAIT);
  await call('models.remove', { id: modelId, deleteFiles: true });
  await running.done();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(existsSync(join(dataFolder, 'models')) ? beside() : []).toEqual([]);
});

it('an engine that is killed while it writes leaves no file, and the next one writes it', async () => {
  await start(500);
  await (await reply(300)).done();
  const running = await reply(100_000);
  await call('layouts.write', { modelId });
  await vi.waitFor(() => expect(beside()).toEqual([`${modelId}.gguf.layout.tmp`]), WAIT);
  const { engine } = await call('app.info', {});
  process.kill(engine.processId ?? 0, 'SIGKILL');
  await running.done();
  await written();
  expect(beside()).toEqual([`${modelId}.gguf.layout`]);
});

it('without room to spare nothing is begun, and the numbers are told', async () => {
  await start(200, 1e18);
  await (await reply(300)).done();
  await vi.waitFor(async () => expect((await state())?.problem).toMatchObject({ code: 'disk.full' }), WAIT);
  expect(beside()).toEqual([]);
});
