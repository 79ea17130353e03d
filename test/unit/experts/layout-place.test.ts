import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bytesOf, freeBytesOf, isOwnPlace, removeOrphan } from '../../../main/experts/layout-place.ts';

const isRoot = process.getuid?.() === 0;

let models: string;
let folder: string;
let model: string;
beforeEach(() => {
  models = mkdtempSync(join(tmpdir(), 'moebius-place-'));
  folder = join(models, 'somewhere');
  mkdirSync(folder);
  model = join(folder, 'model.gguf');
  writeFileSync(model, 'experts');
});
afterEach(() => rmSync(models, { recursive: true, force: true }));

it('is one of the model folders, or below one', async () => {
  expect(await isOwnPlace(model, [join(tmpdir(), 'other'), models])).toBe(true);
  expect(await isOwnPlace(model, [])).toBe(false);
  expect(await isOwnPlace(model, [join(models, 'some')])).toBe(false);
  expect(await isOwnPlace(join(models, 'gone', 'model.gguf'), [models])).toBe(false);
});

it.runIf(isRoot)("is not somebody else's folder, though it could be written to", async () => {
  chownSync(folder, 12345, 12345);
  expect(await isOwnPlace(model, [models])).toBe(false);
});

it.skipIf(isRoot || process.platform === 'win32')('is not a folder that cannot be written to', async () => {
  chmodSync(folder, 0o555);
  expect(await isOwnPlace(model, [models])).toBe(false);
  chmodSync(folder, 0o755);
});

it('says what there is, and what is free', async () => {
  expect(await bytesOf(model)).toBe(7);
  expect(await bytesOf(`${model}.layout`)).toBeNull();
  expect(await freeBytesOf(model)).toBeGreaterThan(0);
  expect(await freeBytesOf(join(models, 'gone', 'model.gguf'))).toBeNull();
});

it('removes the layout file of a model that is gone, and of no other', async () => {
  for (const ending of ['.layout', '.layout.tmp']) writeFileSync(`${model}${ending}`, 'experts');
  await removeOrphan(model);
  expect(existsSync(`${model}.layout`)).toBe(true);
  rmSync(model);
  await removeOrphan(model);
  expect([existsSync(`${model}.layout`), existsSync(`${model}.layout.tmp`)]).toEqual([false, false]);
});
