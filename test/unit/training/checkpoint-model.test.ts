// A checkpoint answers with an adapter on its base, or merged where no adapter file holds it; files of it are there only meanwhile.
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MoebiusError } from '../../../main/contract/index.ts';
import { withCheckpointModel } from '../../../main/training/run/checkpoint-model.ts';
import { EngineDouble, loadedModel } from '../../support/engine-double.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'moebius-checkpoint-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

/** refusal: code with which an adapter file is refused */
function engineWith(refusal?: 'model.unsupported' | 'disk.full'): EngineDouble {
  return new EngineDouble({
    'train.export': ({ format, path }, { onProgress }) => {
      if (refusal && format === 'adapter') throw new MoebiusError(refusal, 'It cannot be written.');
      onProgress?.({ fraction: 0.5, stage: 'export' });
      writeFileSync(String(path), '');
      return { path, step: 5 };
    },
    'model.load': ({ path }) => loadedModel({ path: String(path) }),
    'adapter.load': () => ({ adapter: 7 }),
    'model.unload': () => ({}),
  });
}

async function ask(engine: EngineDouble, withBase = false) {
  const bases: string[] = [];
  const merged: number[] = [];
  const what = { checkpoint: '/run/step-5', model: '/base.gguf', scratch, options: { sequences: 1 }, signal: new AbortController().signal };
  const onMerging = (fraction: number) => void merged.push(fraction);
  const ofBase = async ({ path }: { path: string }) => void bases.push(path);
  const told = await withCheckpointModel(engine, { ...what, onMerging, ...(withBase && { ofBase }) }, async ({ loaded, adapters }) => ({
    path: loaded.path,
    adapters,
  }));
  expect(readdirSync(scratch)).toEqual([]);
  return { ...told, bases, merged, calls: engine.calls.map(({ method, parameters: { format } }) => (format ? `${method} ${format}` : method)) };
}

it('is its base with an adapter, which is asked without it first', async () => {
  const { path, adapters, bases, merged, calls } = await ask(engineWith(), true);
  expect([path, adapters, bases, merged]).toEqual(['/base.gguf', [7], ['/base.gguf'], []]);
  expect(calls).toEqual(['train.export adapter', 'model.load', 'adapter.load', 'model.unload']);
});

it('is merged where no adapter file holds what was trained', async () => {
  const { path, adapters, bases, merged, calls } = await ask(engineWith('model.unsupported'), true);
  expect([adapters, bases, merged, path.startsWith(scratch)]).toEqual([[], ['/base.gguf'], [0.5], true]);
  expect(calls).toEqual(['train.export adapter', 'model.load', 'model.unload', 'train.export merged', 'model.load', 'model.unload']);
  expect(existsSync(path)).toBe(false);
});

it('is merged once, where its file is kept', async () => {
  const engine = engineWith('model.unsupported');
  const merged = join(scratch, 'merged', 'step-5.gguf');
  const what = {
    checkpoint: '/run/step-5',
    model: '/base.gguf',
    scratch: join(scratch, 'meanwhile'),
    merged,
    options: {},
    signal: new AbortController().signal,
  };
  for (const _ of [1, 2]) expect(await withCheckpointModel(engine, what, async ({ loaded }) => loaded.path)).toBe(merged);
  const exports = engine.calls.flatMap(({ method, parameters }) => (method === 'train.export' ? [parameters.format] : []));
  expect([exports, existsSync(merged), readdirSync(what.scratch)]).toEqual([['adapter', 'merged'], true, []]);
});

it('passes on what else goes wrong', async () => {
  await expect(ask(engineWith('disk.full'))).rejects.toMatchObject({ code: 'disk.full' });
});
