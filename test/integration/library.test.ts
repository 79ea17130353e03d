// The library with the real engine: files, loads, and the way back after the engine's end.
import { copyFile, mkdir, mkdtemp, open, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EventName } from '../../main/contract/index.ts';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { ModelLibrary } from '../../main/library/library.ts';
import { defaultSettings } from '../../main/settings/defaults.ts';
import { SettingsService } from '../../main/settings/settings.ts';
import type { Database } from '../../main/storage/database.ts';
import { openDatabase } from '../../main/storage/open.ts';
import { startEngine, tinyModel } from '../support/engine.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;
let database: Database;
let engine: EngineSupervisor;
let settings: SettingsService;
let library: ModelLibrary;
const events: { name: EventName; payload: unknown }[] = [];

async function openLibrary(): Promise<ModelLibrary> {
  const publish = (name: EventName, payload: unknown) => void events.push({ name, payload });
  settings = new SettingsService(database, defaultSettings(folder), publish);
  await settings.start();
  const opened = new ModelLibrary({ engine, database, settings, publish, embeddedModelPath: tinyModel });
  await opened.start();
  return opened;
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'moebius-library-'));
  const models = path.join(folder, 'models');
  await mkdir(models);
  await symlink(tinyModel, path.join(models, 'linked.gguf'));
  await copyFile(tinyModel, path.join(models, 'cut.gguf'));
  const cut = await open(path.join(models, 'cut.gguf'), 'r+');
  await cut.truncate(1_000_000);
  await cut.close();
  database = await openDatabase(path.join(folder, 'moebius.db'));
  engine = await startEngine();
  library = await openLibrary();
});

afterAll(async () => {
  await library.dispose();
  await engine.dispose();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

const tokenCount = async (id: string) => {
  const { loaded } = await library.acquire(id);
  return (await engine.call('model.tokenize', { model: loaded.model, text: 'Once upon a time' })).tokens.length;
};

describe('the library', () => {
  it('loads the embedded model at its first start', async () => {
    await vi.waitFor(() => expect(library.get('tiny-moe').state.state).toBe('loaded'), { timeout: 30_000 });
    expect(await tokenCount('tiny-moe')).toBeGreaterThan(0);
  });

  it('knows what the engine says of good and bad files', async () => {
    await library.scan();
    expect(library.get('tiny-moe').inspection).toMatchObject({ architecture: 'qwen3moe', moeLayers: [0, 1, 2, 3], fileType: 'Q8_0' });
    expect(library.get('linked')).toMatchObject({ problem: null, source: 'folder', bytes: library.get('tiny-moe').bytes });
    expect(library.get('cut').problem?.code).toBe('file.truncated');
    await expect(library.load('cut')).rejects.toMatchObject({ code: 'file.truncated' });
    expect(library.get('cut').state.state).toBe('failed');
  });

  it('estimates with the options that a load would have', async () => {
    await library.handlers['models.setDefaults']({ id: 'tiny-moe', defaults: { load: { contextLength: 256 } } });
    const estimate = await library.handlers['models.estimate']({ id: 'tiny-moe', options: { sequences: 2 } });
    expect(estimate).toMatchObject({ fits: true, options: { contextLength: 256, sequences: 2 } });
  });

  it('holds two models at once and reloads one with other options', async () => {
    await library.load('linked', { contextLength: 64, sequences: 1 });
    expect(library.loadedIds()).toEqual(['linked', 'tiny-moe']);
    const card = await library.load('linked', { contextLength: 128, sequences: 1 });
    expect(card.state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 128 } } });
    expect((await engine.call('model.list', {})).models).toHaveLength(2);
  });

  it('has both back after the engine was killed, with the same options', async () => {
    const before = engine.status.processId;
    process.kill(before ?? expect.fail('no process'), 'SIGKILL');
    await vi.waitFor(() => expect(engine.status.processId).not.toBe(before));
    for (const id of ['linked', 'tiny-moe']) expect(await tokenCount(id)).toBeGreaterThan(0);
    expect(library.get('linked').state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 128 } } });
    expect(library.loadedIds()).toEqual(['linked', 'tiny-moe']);
    expect((await engine.call('model.list', {})).models).toHaveLength(2);
  });

  it('after a cancelled load, whenever it came, has nothing of the model in the engine', async () => {
    await library.handlers['models.unload']({ id: 'linked' });
    for (let wait = 0; wait < 40; wait += 8) {
      const loading = library.load('linked').then(
        () => 'loaded',
        (error: { code: string }) => error.code,
      );
      await new Promise((resolve) => setTimeout(resolve, wait));
      await library.handlers['models.unload']({ id: 'linked' });
      expect(['cancelled', 'loaded']).toContain(await loading);
      expect((await engine.call('model.list', {})).models).toHaveLength(1);
    }
  });

  it('loads at the next start what was loaded at the end', async () => {
    await library.load('linked', { contextLength: 64, sequences: 1 });
    await library.dispose();
    for (const { model } of (await engine.call('model.list', {})).models) await engine.call('model.unload', { model });
    library = await openLibrary();
    await vi.waitFor(() => expect(library.loadedIds()).toEqual(['linked', 'tiny-moe']), { timeout: 30_000 });
    expect(library.get('linked').state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 64 } } });
  });
});
