// What is in the library, where it came from, and why some of it cannot be used.
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openLibrary, type TestLibrary, temporaryFolder, writeModel } from './support.ts';

const models = (test: TestLibrary, ...names: string[]) => path.join(test.folder, 'models', ...names);
const ids = (test: TestLibrary) => test.library.list().map(({ id }) => id);

describe('the embedded model', () => {
  it('is there from the start, says what it is, and cannot be removed', async () => {
    const test = await openLibrary();
    await test.library.scan();
    const card = test.library.get('tiny-moe');
    expect(card).toMatchObject({ source: 'embedded', path: test.embedded, problem: null });
    expect(card.note).toMatch(/^A 27M-parameter MoE for trying things out\b/);
    await expect(test.library.remove('tiny-moe', false)).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(test.library.remove('tiny-moe', true)).rejects.toMatchObject({ code: 'request.invalid' });
    expect(existsSync(test.embedded)).toBe(true);
  });

  it('keeps its id and defaults when the app was moved', async () => {
    const first = await openLibrary();
    await first.library.handlers['models.setDefaults']({ id: 'tiny-moe', defaults: { maxTokens: 7 } });
    await first.database.run("UPDATE models SET path = '/old/place.gguf' WHERE id = 'tiny-moe'");
    const test = await first.reopen();
    await test.library.scan();
    expect(test.library.get('tiny-moe')).toMatchObject({ path: test.embedded, defaults: { maxTokens: 7 }, problem: null });
    expect(ids(test)).toEqual(['tiny-moe']);
  });

  it('in a scanned folder is not listed twice', async () => {
    const test = await openLibrary();
    await test.settings.set({ modelFolders: [path.dirname(test.embedded)] });
    await test.library.scan();
    expect(ids(test)).toEqual(['tiny-moe']);
  });
});

describe('scan', () => {
  it('finds GGUF files below the folders, takes split parts as one, and gives each an id of its own', async () => {
    const test = await openLibrary();
    await writeModel(models(test, 'a', 'Some Model.Q4_K_M.gguf'));
    await writeModel(models(test, 'b', 'tiny-moe.gguf'));
    await writeModel(models(test, 'c', 'tiny-moe.GGUF'));
    for (const part of [1, 2, 3]) await writeModel(models(test, 'd', `big-0000${part}-of-00003.gguf`), 'x'.repeat(part));
    await writeModel(models(test, 'readme.txt'));
    await writeModel(models(test, '.hidden', 'x.gguf'));
    await writeModel(models(test, 'x.gguf.partial'));
    await test.library.scan();
    expect(ids(test).sort()).toEqual(['big', 'some-model.q4_k_m', 'tiny-moe', 'tiny-moe-2', 'tiny-moe-3']);
    expect(test.library.get('big')).toMatchObject({ bytes: 6, path: models(test, 'd', 'big-00001-of-00003.gguf'), source: 'folder', problem: null });
  });

  it('keeps ids over restarts and rescans', async () => {
    const first = await openLibrary();
    await writeModel(models(first, 'a', 'm.gguf'));
    await writeModel(models(first, 'b', 'm.gguf'));
    await first.library.scan();
    const paths = new Map(first.library.list().map(({ id, path: file }) => [id, file]));
    const test = await first.reopen();
    await test.library.scan();
    expect(new Map(test.library.list().map(({ id, path: file }) => [id, file]))).toEqual(paths);
  });

  it('follows links to folders and ends in a cycle of them', async () => {
    const test = await openLibrary();
    const elsewhere = await temporaryFolder();
    await writeModel(path.join(elsewhere, 'linked.gguf'));
    await mkdir(models(test, 'a'), { recursive: true });
    await symlink(elsewhere, models(test, 'link'));
    await symlink(models(test), models(test, 'a', 'up'));
    await symlink(models(test, 'nowhere'), models(test, 'broken.gguf'));
    await test.library.scan();
    expect(ids(test).sort()).toEqual(['linked', 'tiny-moe']);
  });

  it('stops eight folders down', async () => {
    const test = await openLibrary();
    await writeModel(models(test, ...'12345678', 'deep.gguf'));
    await writeModel(models(test, ...'123456789', 'deeper.gguf'));
    await test.library.scan();
    expect(ids(test).sort()).toEqual(['deep', 'tiny-moe']);
  });

  it('asks the engine once for each file, and again only when the file changed', async () => {
    const first = await openLibrary();
    for (let index = 0; index < 100; index += 1) await writeModel(models(first, `m${index}.gguf`));
    await first.library.scan();
    expect(first.engine.count('model.inspect')).toBe(101);
    const test = await first.reopen();
    await writeModel(models(test, 'm7.gguf'), 'other content');
    await test.library.scan();
    expect(test.engine.count('model.inspect')).toBe(102);
    expect(test.library.get('m8').inspection?.expertCount).toBe(32);
  });

  it('runs again when the folders of the settings change, and forgets folders that were taken out', async () => {
    const test = await openLibrary();
    const other = await temporaryFolder();
    await writeModel(path.join(other, 'other.gguf'));
    await test.settings.set({ modelFolders: [other] });
    await vi.waitFor(() => expect(ids(test)).toContain('other'));
    await test.settings.set({ modelFolders: [] });
    expect(ids(test)).toEqual(['tiny-moe']);
  });
});

describe('files that cannot be used', () => {
  it.each([
    ['bad.gguf', 'file.not-gguf', 'not a GGUF'],
    ['adapter.gguf', 'model.unsupported', 'LoRA adapter'],
    ['mmproj-x.gguf', 'model.unsupported', 'vision projector'],
    ['half-00002-of-00003.gguf', 'file.split-incomplete', 'half-00001-of-00003.gguf, half-00003-of-00003.gguf'],
  ])('%s is shown with the problem %s', async (name, code, text) => {
    const first = await openLibrary();
    await writeModel(models(first, name));
    const problem = (test: TestLibrary) => test.library.list().find(({ source }) => source === 'folder')?.problem;
    await first.library.scan();
    expect(problem(first)).toMatchObject({ code, message: expect.stringContaining(text) });
    const again = await first.reopen();
    await again.library.scan();
    expect(problem(again)).toEqual(problem(first));
  });

  it('a file that is gone stays in the list with file.not-found, and recovers when it is back', async () => {
    const test = await openLibrary();
    const file = await writeModel(models(test, 'm.gguf'));
    await test.library.scan();
    await rename(file, `${file}.away`);
    await test.library.scan();
    expect(test.library.get('m').problem).toMatchObject({ code: 'file.not-found' });
    await rename(`${file}.away`, file);
    await test.library.scan();
    expect(test.library.get('m').problem).toBeNull();
  });

  it('a file that ends the engine is not shown to it for ever, and the others are inspected all the same', async () => {
    const test = await openLibrary();
    await test.library.acquire('tiny-moe');
    await writeModel(models(test, 'a-poison.gguf'));
    await writeModel(models(test, 'z.gguf'));
    await test.library.scan();
    expect(test.library.get('a-poison').problem).toMatchObject({ code: 'engine.died' });
    await vi.waitFor(() => expect(test.library.get('z').problem).toBeNull());
    test.engine.die();
    test.engine.comeBack();
    const again = await test.reopen();
    await again.library.scan();
    expect(again.library.get('a-poison').problem).toMatchObject({ code: 'engine.died' });
    const shown = again.engine.calls.filter(({ method, parameters }) => method === 'model.inspect' && JSON.stringify(parameters).includes('poison'));
    expect(shown).toHaveLength(2);
  });

  it('are looked at when the engine comes up, if it was not there', async () => {
    const test = await openLibrary();
    await test.library.acquire('tiny-moe');
    test.engine.die('stopped');
    await writeModel(models(test, 'm.gguf'));
    await test.library.scan();
    expect(test.library.get('m').problem).toMatchObject({ code: 'engine.crash-loop' });
    test.engine.comeBack();
    await vi.waitFor(() => expect(test.library.get('m')).toMatchObject({ problem: null, inspection: { expertCount: 32 } }));
  });
});

describe('add', () => {
  it('takes a file from anywhere, once', async () => {
    const test = await openLibrary();
    const file = await writeModel(path.join(await temporaryFolder(), 'mine.gguf'));
    const card = await test.library.add(file);
    expect(card).toMatchObject({ id: 'mine', source: 'added', inspection: { expertCount: 32 } });
    expect((await test.library.add(file)).id).toBe('mine');
    expect(test.payloads('models.changed').some(({ id }) => id === 'mine')).toBe(true);
  });

  it('takes any part of a split model for the whole', async () => {
    const test = await openLibrary();
    const folder = await temporaryFolder();
    for (const part of [1, 2]) await writeModel(path.join(folder, `s-0000${part}-of-00002.gguf`));
    const card = await test.library.add(path.join(folder, 's-00002-of-00002.gguf'));
    expect(card).toMatchObject({ id: 's', path: path.join(folder, 's-00001-of-00002.gguf'), problem: null });
  });

  it('refuses what is not there, and folders', async () => {
    const test = await openLibrary();
    await expect(test.library.add(path.join(test.folder, 'no.gguf'))).rejects.toMatchObject({ code: 'file.not-found' });
    await expect(test.library.add(test.folder)).rejects.toMatchObject({ code: 'request.invalid' });
  });
});

describe('remove', () => {
  it('of a loaded model unloads it first', async () => {
    const test = await openLibrary();
    const { id } = await test.library.add(await writeModel(path.join(await temporaryFolder(), 'mine.gguf')));
    await test.library.acquire('tiny-moe');
    await test.library.load(id);
    await test.library.remove(id, false);
    expect([...test.engine.resident.values()]).toEqual([test.embedded]);
    expect(ids(test)).toEqual(['tiny-moe']);
    expect(test.payloads('models.removed')).toEqual([{ id }]);
    await expect(test.library.load(id)).rejects.toMatchObject({ code: 'model.not-found' });
  });

  it('of a model in a folder does not come back with the next scan, but does when it is added', async () => {
    const first = await openLibrary();
    const file = await writeModel(models(first, 'm.gguf'));
    await first.library.scan();
    await first.library.remove('m', false);
    const test = await first.reopen();
    await test.library.scan();
    expect(ids(test)).toEqual(['tiny-moe']);
    expect(existsSync(file)).toBe(true);
    expect((await test.library.add(file)).id).toBe('m');
  });

  it('with its files deletes its parts and nothing else', async () => {
    const test = await openLibrary();
    for (const part of [1, 2]) await writeModel(models(test, 'd', `big-0000${part}-of-00002.gguf`));
    const others = [await writeModel(models(test, 'd', 'big-00003-of-00003.gguf')), await writeModel(models(test, 'd', 'big.gguf'))];
    await writeModel(models(test, 'alone', 'x.gguf'));
    await test.library.scan();
    const big = test.library.list().find(({ path: file }) => file.endsWith('big-00001-of-00002.gguf'));
    await test.library.remove(big?.id ?? '', true);
    expect([1, 2].map((part) => existsSync(models(test, 'd', `big-0000${part}-of-00002.gguf`)))).toEqual([false, false]);
    expect(others.map(existsSync)).toEqual([true, true]);
    await test.library.remove('x', true);
    expect(existsSync(models(test, 'alone'))).toBe(false);
    expect(existsSync(models(test))).toBe(true);
  });

  it('never deletes a file that was added from elsewhere', async () => {
    const test = await openLibrary();
    const file = await writeModel(path.join(await temporaryFolder(), 'mine.gguf'));
    const { id } = await test.library.add(file);
    await expect(test.library.remove(id, true)).rejects.toMatchObject({ code: 'request.invalid' });
    expect(existsSync(file)).toBe(true);
    expect(ids(test)).toContain(id);
    await test.library.remove(id, false);
    expect(existsSync(file)).toBe(true);
  });

  it('never deletes a file in a folder that is not a model folder any more', async () => {
    const test = await openLibrary();
    const other = await temporaryFolder();
    const file = await writeModel(path.join(other, 'other.gguf'));
    await test.settings.set({ modelFolders: [other] });
    await test.library.scan();
    await test.settings.set({ modelFolders: [] });
    await expect(test.library.remove('other', true)).rejects.toMatchObject({ code: 'request.invalid' });
    expect(existsSync(file)).toBe(true);
  });

  it('of a model whose file is gone works', async () => {
    const test = await openLibrary();
    const file = await writeModel(models(test, 'm.gguf'));
    await test.library.scan();
    await rm(file);
    await test.library.scan();
    await test.library.remove('m', true);
    expect(ids(test)).toEqual(['tiny-moe']);
  });
});

it('defaults of a model survive the app and are told', async () => {
  const first = await openLibrary();
  const defaults = { load: { contextLength: 99 }, sampling: { temperature: 0.5 }, systemPrompt: 'Be brief.' };
  expect(await first.library.handlers['models.setDefaults']({ id: 'tiny-moe', defaults })).toMatchObject({ defaults });
  expect(first.payloads('models.changed').at(-1)?.defaults).toEqual(defaults);
  const test = await first.reopen();
  expect(test.library.get('tiny-moe').defaults).toEqual(defaults);
  await test.library.handlers['models.estimate']({ id: 'tiny-moe', options: { batch: 8 } });
  expect(test.engine.calls.filter(({ method }) => method === 'model.estimate').at(-1)?.parameters).toEqual({
    path: test.embedded,
    options: { contextLength: 99, batch: 8 },
  });
});
