// The layout file of a model: written from the command line, found by the engine, gone when it no longer fits.
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';

const execute = promisify(execFile);
const cli = join(import.meta.dirname, '../../main/cli/moebius.mjs');
const options = { devices: [], contextLength: 256, expertRamBytes: 6_000_000 };
const folder = mkdtempSync(join(tmpdir(), 'moebius-layout-'));
const model = join(folder, 'model.gguf');
const layout = `${model}.layout`;

let engine: EngineSupervisor;
beforeAll(async () => {
  copyFileSync(tinyModel, model);
  engine = await startEngine();
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

async function reply(expertLayout: 'auto' | 'off'): Promise<{ text: string; layoutFile: string | null | undefined }> {
  const loaded = await engine.call('model.load', { path: model, options: { ...options, expertLayout } });
  let text = '';
  const parameters = { model: loaded.model, prompt: 'The mountain', maxTokens: 24, sampling: { temperature: 0 }, ignoreEndOfGeneration: true };
  await engine.call('generate', parameters, {
    onTokens: (tokens) => {
      text += tokens.map((token) => token.text).join('');
    },
  });
  const { store } = await engine.call('experts.status', { model: loaded.model });
  await engine.call('model.unload', { model: loaded.model });
  return { text, layoutFile: store?.layoutFile };
}

it('is ordered by a trace, used by the next load, and changes nothing but where experts are read', async () => {
  const trace = join(folder, 'model.moetrace');
  await execute(process.execPath, [cli, 'trace', model, '-o', trace, '-p', 'The king sent messengers to all the cities', '-n', '48']);
  const { stdout } = await execute(process.execPath, [cli, 'layout', model, '--trace', trace, '--json']);
  const written = JSON.parse(stdout);
  expect(written).toMatchObject({ path: layout, gain: { expertsPerToken: 2 } });
  expect(written.gain.pieces).toBeLessThanOrEqual(2);
  expect(existsSync(layout)).toBe(true);

  const without = await reply('off');
  expect(without.layoutFile).toBeNull();
  expect(without.text.length).toBeGreaterThan(20);
  expect(await reply('auto')).toEqual({ text: without.text, layoutFile: layout });

  utimesSync(model, new Date(), new Date(Date.now() - 5000)); // another model, for all that is known
  expect(await reply('auto')).toEqual(without);
});

it('is not there after a cancelled write, nor is anything else', async () => {
  rmSync(layout, { force: true });
  const stop = new AbortController();
  const writing = engine.call('experts.writeLayout', { path: model }, { signal: stop.signal });
  stop.abort();
  await expect(writing).rejects.toMatchObject({ code: 'cancelled' });
  expect(readdirSync(folder).filter((name) => name.includes('layout'))).toEqual([]);
});
