// Settings: kept, repaired, checked.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Settings } from '../../../main/contract/index.ts';
import { defaultSettings } from '../../../main/settings/defaults.ts';
import { SettingsService } from '../../../main/settings/settings.ts';
import type { Database } from '../../../main/storage/database.ts';
import { openMemoryDatabase } from '../../support/memory-database.ts';

let folder: string;
let database: Database;
let events: unknown[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'moebius-settings-'));
  database = openMemoryDatabase();
  events = [];
});
afterEach(async () => {
  await database.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(): Promise<SettingsService> {
  const service = new SettingsService(database, defaultSettings(folder), (name, payload) => void events.push([name, payload]));
  await service.start();
  return service;
}

async function store(value: unknown): Promise<void> {
  await database.run('INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value', [
    'settings',
    JSON.stringify(value),
  ]);
}

describe('reading', () => {
  it('gives the defaults of a new installation, which are themselves valid', async () => {
    const service = await open();
    expect(service.current).toEqual(defaultSettings(folder));
    expect(await service.set({})).toEqual(defaultSettings(folder));
  });

  it('drops unknown fields, fills in missing ones, and replaces only what does not fit', async () => {
    await store({ theme: 'light', threads: 'many', gone: true, loadDefaults: { contextLength: 64, batch: -1, old: 1 }, api: { enabled: true, secret: 1 } });
    expect((await open()).current).toEqual({
      ...defaultSettings(folder),
      theme: 'light',
      loadDefaults: { contextLength: 64 },
      api: { ...defaultSettings(folder).api, enabled: true },
    });
  });

  it.each([null, [], 7, 'text', { api: null, loadDefaults: [] }])('takes %j for nothing stored', async (value) => {
    await store(value);
    expect((await open()).current).toEqual(defaultSettings(folder));
  });
});

describe('changing', () => {
  it('is kept, published and told to listeners, until they leave', async () => {
    const service = await open();
    const heard: [Settings, Settings][] = [];
    const leave = service.onChange((now, before) => heard.push([now, before]));
    await service.handlers['settings.set']({ threads: 3 });
    leave();
    await service.set({ theme: 'system' });
    expect(heard.map(([now, before]) => [now.threads, before.threads])).toEqual([[3, 0]]);
    expect(events).toHaveLength(2);
    expect(events[1]).toEqual(['settings.changed', service.current]);
    const again = await open();
    expect(again.current).toMatchObject({ threads: 3, theme: 'system' });
    expect(again.handlers['settings.get']({})).toEqual(again.current);
  });

  it('twice at once keeps both', async () => {
    const service = await open();
    await Promise.all([service.set({ threads: 3 }), service.set({ theme: 'light' })]);
    expect((await open()).current).toMatchObject({ threads: 3, theme: 'light' });
  });

  it('that is refused leaves everything as it was, and the next one works', async () => {
    const service = await open();
    await expect(service.set({ theme: 'light', hubUrl: 'ftp://x' })).rejects.toMatchObject({ code: 'request.invalid' });
    expect(service.current).toEqual(defaultSettings(folder));
    expect(events).toEqual([]);
    await service.set({ theme: 'light' });
    expect((await open()).current.theme).toBe('light');
  });
});

describe('checks', () => {
  it.each(['ftp://x', 'file:///etc', 'https://user:word@x', 'https://x/?a=1', 'https://x/#a', 'nonsense'])('refuse the hub address %s', async (hubUrl) => {
    await expect((await open()).set({ hubUrl })).rejects.toMatchObject({ code: 'request.invalid' });
  });

  it('take a mirror below a path, without a trailing slash', async () => {
    expect(await (await open()).set({ hubUrl: 'http://mirror.local:8080/hf/' })).toMatchObject({ hubUrl: 'http://mirror.local:8080/hf' });
  });

  it.each([
    [0, true],
    [1, false],
    [1023, false],
    [1024, true],
    [65535, true],
    [65536, false],
    [1.5, false],
  ])('port %d: %s', async (port, allowed) => {
    const change = (await open()).set({ api: { enabled: false, port } });
    if (allowed) await expect(change).resolves.toMatchObject({ api: { port } });
    else await expect(change).rejects.toMatchObject({ code: 'request.invalid' });
  });

  it('make a folder that is missing, and name one that cannot be made', async () => {
    const service = await open();
    const wanted = path.join(folder, 'new', 'models');
    await service.set({ modelFolders: [wanted, `${wanted}/`], downloadFolder: wanted });
    expect(service.current).toMatchObject({ modelFolders: [wanted], downloadFolder: wanted });
    expect(existsSync(wanted)).toBe(true);
    const file = path.join(folder, 'file');
    await writeFile(file, '');
    for (const bad of [file, path.join(file, 'below')]) {
      await expect(service.set({ downloadFolder: bad })).rejects.toMatchObject({ code: 'file.unreadable', details: { folder: bad } });
    }
    await expect(service.set({ modelFolders: ['relative/folder'] })).rejects.toMatchObject({ code: 'request.invalid' });
  });

  it('leave alone a folder of the list that has gone meanwhile', async () => {
    const service = await open();
    const drive = path.join(folder, 'drive');
    await service.set({ modelFolders: [drive] });
    await rm(drive, { recursive: true });
    await service.set({ modelFolders: [drive], theme: 'light' });
    expect(existsSync(drive)).toBe(false);
  });
});
