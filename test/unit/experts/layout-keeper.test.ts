import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type LayoutState, MoebiusError } from '../../../main/contract/index.ts';
import { LayoutKeeper, type LayoutKeeperTuning } from '../../../main/experts/layout-keeper.ts';
import { defaultSettings } from '../../../main/settings/defaults.ts';
import { EngineDouble, loadedModel } from '../../support/engine-double.ts';
import { openMemoryDatabase } from '../../support/memory-database.ts';

/** 2 of 4 experts of each layer have room. */
const store = { storage: 'slots', layoutFile: null, diskBytes: 1000, layers: [1, 3].map((layer) => ({ layer, slots: 2, tiers: 'rrdd' })) };
const idleMilliseconds = 20;
const quiet = () => new Promise((resolve) => setTimeout(resolve, 5 * idleMilliseconds));

let folder: string;
let path: string;
let layout: string;
let engine: EngineDouble;
let database: ReturnType<typeof openMemoryDatabase>;
let trace: string | null;
let settings: ReturnType<typeof defaultSettings>;
let told: LayoutState[];
let keepers: LayoutKeeper[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-layouts-'));
  settings = defaultSettings(folder);
  mkdirSync(join(folder, 'models'));
  path = join(folder, 'models', 'model.gguf');
  layout = `${path}.layout`;
  writeFileSync(path, 'experts');
  trace = '/routing/m.moetrace';
  told = [];
  keepers = [];
  database = openMemoryDatabase();
  engine = new EngineDouble({
    'experts.status': () => ({ store, devices: null }),
    'experts.writeLayout': () => {
      writeFileSync(layout, 'experts in order');
      return { path: layout, bytes: 16, gain: null };
    },
  });
});
afterEach(async () => {
  for (const keeper of keepers) await keeper.dispose();
  rmSync(folder, { recursive: true });
});

const model = (options = {}) => loadedModel({ path, options: { expertRamBytes: 500, ...options } });
const writes = () => engine.calls.filter(({ method }) => method === 'experts.writeLayout').map(({ parameters }) => parameters);

function keep(tuning: Partial<LayoutKeeperTuning> = {}): LayoutKeeper {
  const keeper = new LayoutKeeper({
    engine,
    database,
    tuner: { recording: async () => trace },
    settings: () => settings,
    publish: (event, payload) => void (event === 'layouts.changed' && told.push(payload as LayoutState)), // its event has this payload
    tuning: { idleMilliseconds, spareBytes: 0, ...tuning },
  });
  keepers.push(keeper);
  return keeper;
}

/** A writing that ends when the test says so, or when it is cancelled. */
function slowWriting() {
  let progress: (fraction: number, stage: 'layout' | 'paused') => void = () => undefined;
  let end: () => void = () => undefined;
  engine.answers['experts.writeLayout'] = (_, { signal, onProgress }) =>
    new Promise((resolve, reject) => {
      progress = (fraction, stage) => onProgress?.({ fraction, stage });
      end = () => {
        writeFileSync(layout, 'experts in order');
        resolve({ path: layout, bytes: 16, gain: null });
      };
      writeFileSync(`${layout}.tmp`, 'half');
      signal?.addEventListener('abort', () => {
        rmSync(`${layout}.tmp`, { force: true });
        reject(new MoebiusError('cancelled', 'cancelled'));
      });
    });
  return { progress: (fraction: number, stage: 'layout' | 'paused') => progress(fraction, stage), end: () => end() };
}
const begun = () => vi.waitFor(() => expect(writes()).toHaveLength(1));
const statusOf = (keeper: LayoutKeeper) => keeper.handlers['layouts.status']({ modelId: 'm' });

it('writes the file in the background, ordered by the recording, once the engine is idle', async () => {
  const keeper = keep();
  keeper.began();
  keeper.loaded('m', model());
  await quiet();
  expect(writes()).toEqual([]); // a generation is under way
  keeper.ended();
  await begun();
  expect(writes()).toEqual([{ path, trace, background: true }]);
  await vi.waitFor(async () => expect(await statusOf(keeper)).toMatchObject({ bytes: 16, fresh: true, used: false, writing: null, problem: null }));
  keeper.began();
  keeper.ended();
  await quiet();
  expect(writes()).toHaveLength(1); // once
});

it.each([
  ['before there is a recording', () => (trace = null)],
  [
    'when every expert is in RAM',
    () => (engine.answers['experts.status'] = () => ({ store: { ...store, layers: store.layers.map((each) => ({ ...each, slots: 4 })) }, devices: null })),
  ],
  ['when the model is read from one', () => (engine.answers['experts.status'] = () => ({ store: { ...store, layoutFile: layout }, devices: null }))],
  ['when it is switched off', () => (settings.expertLayouts = 'off')],
  [
    'beside a model that is outside the model folders',
    () => Object.assign(settings, { modelFolders: [join(folder, 'other')], downloadFolder: join(folder, 'other') }),
  ],
])('writes nothing %s', async (_, prepare) => {
  prepare();
  keep().loaded('m', model());
  await quiet();
  expect(writes()).toEqual([]);
});

it('writes nothing for a model that was loaded without', async () => {
  keep().loaded('m', model({ expertLayout: 'off' }));
  await quiet();
  expect(writes()).toEqual([]);
});

it('leaves room on the disk: says how much is missing, and writes when it is there', async () => {
  const keeper = keep({ spareBytes: 1e18 });
  keeper.loaded('m', model());
  await vi.waitFor(() => expect(told.at(-1)?.problem).toMatchObject({ code: 'disk.full', details: { path: layout } }));
  expect(told.at(-1)?.problem?.details?.need).toBeGreaterThan(1e18);
  expect(writes()).toEqual([]);
  const other = keep();
  other.loaded('m', model());
  await begun();
});

it('asks first where the setting says so', async () => {
  settings.expertLayouts = 'ask';
  const keeper = keep();
  keeper.loaded('m', model());
  await vi.waitFor(() => expect(told.at(-1)).toMatchObject({ offered: true, writing: null }));
  expect(writes()).toEqual([]);
  expect(told).toHaveLength(1);
  await keeper.handlers['layouts.write']({ modelId: 'm' });
  await begun();
  await vi.waitFor(() => expect(told.at(-1)).toMatchObject({ offered: false, fresh: true }));
});

it('tells how far it is and that it pauses; only one is written at a time', async () => {
  const writing = slowWriting();
  const keeper = keep();
  keeper.loaded('m', model());
  await begun();
  writing.progress(0.25, 'layout');
  writing.progress(0.25, 'paused');
  await vi.waitFor(() => expect(told.at(-1)?.writing).toEqual({ fraction: 0.25, paused: true }));
  await expect(keeper.handlers['layouts.write']({ modelId: 'm' })).rejects.toMatchObject({ code: 'model.busy' });
  writing.end();
  await vi.waitFor(() => expect(told.at(-1)?.writing).toBeNull());
});

it('a refusal is remembered over restarts, until the file is asked for', async () => {
  slowWriting();
  const keeper = keep();
  keeper.loaded('m', model());
  await begun();
  expect(await keeper.handlers['layouts.decline']({ modelId: 'm' })).toMatchObject({ declined: true, writing: null });
  expect(existsSync(`${layout}.tmp`)).toBe(false);
  await keeper.dispose();

  const later = keep();
  later.loaded('m', model());
  await quiet();
  expect(writes()).toHaveLength(1);
  expect(await later.handlers['layouts.write']({ modelId: 'm' })).toMatchObject({ declined: false });
  await vi.waitFor(() => expect(writes()).toHaveLength(2));
});

it('a file that the user deleted does not come back by itself', async () => {
  const keeper = keep();
  keeper.loaded('m', model());
  await vi.waitFor(async () => expect(await statusOf(keeper)).toMatchObject({ fresh: true }));
  expect(await keeper.handlers['layouts.delete']({ modelId: 'm' })).toMatchObject({ bytes: null, fresh: false, declined: true });
  expect(existsSync(layout)).toBe(false);
  keeper.began();
  keeper.ended();
  await quiet();
  expect(writes()).toHaveLength(1);
});

it('a model that is removed meanwhile leaves nothing, even if the engine was faster', async () => {
  const writing = slowWriting();
  const keeper = keep();
  keeper.loaded('m', model());
  await begun();
  keeper.unloaded('m');
  rmSync(path);
  writeFileSync(layout, 'published at the last moment');
  keeper.removed('m');
  await vi.waitFor(() => expect(existsSync(layout)).toBe(false));
  expect(existsSync(`${layout}.tmp`)).toBe(false);
  writing.end();
});

it('what failed is told and not tried again in this life of the model; an engine that ended is asked once more', async () => {
  engine.answers['experts.writeLayout'] = () => Promise.reject(new MoebiusError('engine.died', 'it ended'));
  const keeper = keep();
  keeper.loaded('m', model());
  await vi.waitFor(() => expect(writes()).toHaveLength(2));
  await quiet();
  expect(writes()).toHaveLength(2);
  expect(await statusOf(keeper)).toMatchObject({ problem: { code: 'engine.died' } });
  engine.answers['experts.writeLayout'] = () => Promise.reject(new MoebiusError('disk.full', 'no room'));
  keeper.loaded('m', model()); // again
  await vi.waitFor(() => expect(writes()).toHaveLength(3));
  await quiet();
  expect(writes()).toHaveLength(3);
  expect(await statusOf(keeper)).toMatchObject({ problem: { code: 'disk.full' }, declined: false });
});

it('knows nothing of models that are not loaded, or are all in memory', async () => {
  const keeper = keep();
  keeper.loaded('m', loadedModel({ path }));
  expect(await statusOf(keeper)).toBeNull();
  await expect(keeper.handlers['layouts.write']({ modelId: 'm' })).rejects.toMatchObject({ code: 'model.not-loaded' });
});
