import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SuperExpertMemory } from '../../../main/experts/super-experts.ts';
import { EngineDouble, loadedModel } from '../../support/engine-double.ts';

const found = [{ layer: 3, expert: 2, peak: 812.5 }];
const withStore = (changes = {}) => loadedModel({ options: { expertRamBytes: 1000 }, ...changes });

let folder: string;
let engine: EngineDouble;
let seen: { layer: number; expert: number; peak: number; protected: boolean }[] | null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-super-'));
  seen = null;
  engine = new EngineDouble({ 'experts.status': () => ({ store: { superExperts: seen } }), 'experts.configure': () => ({}) });
});
afterEach(() => rmSync(folder, { recursive: true }));

const asked = (method: string) => engine.calls.filter((call) => call.method === method).map(({ parameters }) => parameters);

it('asks after every generation until the engine knows, and tells the engine at the next load', async () => {
  const first = new SuperExpertMemory({ engine, folder });
  await first.loaded('m', withStore());
  await first.used('m', withStore());
  expect(readdirSync(folder)).toEqual([]);
  seen = found.map((each) => ({ ...each, protected: true }));
  await first.used('m', withStore());
  await first.used('m', withStore());
  expect(asked('experts.status')).toHaveLength(2);
  expect(asked('experts.configure')).toEqual([]);
  const later = new SuperExpertMemory({ engine, folder });
  await later.loaded('m', withStore({ model: 4 }));
  expect(asked('experts.configure')).toEqual([{ model: 4, superExperts: found }]);
});

it('remembers that a model has none', async () => {
  seen = [];
  await new SuperExpertMemory({ engine, folder }).used('m', withStore());
  const later = new SuperExpertMemory({ engine, folder });
  await later.loaded('m', withStore({ model: 4 }));
  await later.used('m', withStore({ model: 4 }));
  expect(asked('experts.configure')).toEqual([]);
  expect(asked('experts.status')).toHaveLength(1);
});

it('does not mistake another file of the same name for it', async () => {
  seen = found.map((each) => ({ ...each, protected: true }));
  await new SuperExpertMemory({ engine, folder }).used('m', withStore());
  const other = withStore({ inspection: { ...withStore().inspection, bytes: 12345 } });
  await new SuperExpertMemory({ engine, folder }).loaded('m', other);
  expect(asked('experts.configure')).toEqual([]);
});

it('leaves models without an expert store alone, and failures to the log', async () => {
  const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const memory = new SuperExpertMemory({ engine, folder, logger });
  await memory.used('m', loadedModel());
  expect(engine.calls).toEqual([]);
  engine.answers['experts.status'] = () => Promise.reject(new Error('no'));
  await memory.used('m', withStore());
  expect(logger.warn).toHaveBeenCalledOnce();
});
