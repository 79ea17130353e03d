// A download is exact or absent, whatever the network, the hub and the disk do.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Download } from '../../../main/contract/index.ts';
import type { DownloadDisk } from '../../../main/library/downloads/partial-file.ts';
import { FakeHub, sha256 } from '../../support/fake-hub.ts';
import { openLibrary, type TestLibrary } from './support.ts';

const repository = 'someone/Small-GGUF';
const name = 'small-Q8_0.gguf';
const content = randomBytes(100_000);

// dozens of connections each, on a machine that may be busy
vi.setConfig({ testTimeout: 30_000 });

let hub: FakeHub;
beforeEach(async () => {
  hub = await FakeHub.start();
  hub.add(repository, { [name]: content });
});
afterEach(() => hub.close());

const openWithHub = (options: Parameters<typeof openLibrary>[0] = {}) => openLibrary({ hubUrl: hub.url, ...options });

function current(test: TestLibrary, id: string): Download {
  const found = test.library.handlers['downloads.list']({}) as Download[]; // this handler answers at once
  return found.find((download) => download.id === id) ?? expect.fail(`no download ${id}`);
}

async function ended(test: TestLibrary, id: string, states: Download['state'][] = ['done', 'failed', 'paused']): Promise<Download> {
  await vi.waitFor(() => expect(states).toContain(current(test, id).state), { timeout: 10_000, interval: 5 });
  return current(test, id);
}

async function download(test: TestLibrary, file = name): Promise<Download> {
  const { id } = await test.library.handlers['downloads.start']({ repository, file });
  return ended(test, id);
}

const target = (test: TestLibrary, file = name) => path.join(test.folder, 'models', ...repository.split('/'), file);
const partial = (test: TestLibrary, file = name) => `${target(test, file)}.partial`;

async function expectExact(test: TestLibrary, expected: Buffer, file = name): Promise<void> {
  expect(sha256(await readFile(target(test, file)))).toBe(sha256(expected));
  expect(existsSync(partial(test, file))).toBe(false);
}

describe('an undisturbed download', () => {
  it('ends as a model of the library, with the bytes that the hub announced', async () => {
    const test = await openWithHub();
    const done = await download(test);
    expect(done).toMatchObject({ state: 'done', bytesDone: content.length, bytesTotal: content.length, error: null });
    await expectExact(test, content);
    await vi.waitFor(() => expect(test.library.get('small-q8_0').inspection).not.toBeNull());
    expect(test.library.get(done.modelId ?? '')).toMatchObject({ id: 'small-q8_0', source: 'download', problem: null, note: null });
    const states = test.payloads('downloads.changed').map(({ state }) => state);
    expect(states.filter((state, index) => state !== states[index - 1])).toEqual(['queued', 'running', 'verifying', 'done']);
  });

  it('tells its progress at most four times a second', async () => {
    const test = await openWithHub();
    hub.faults.push({ bytesPerSecond: 100_000 });
    await download(test);
    const running = test.payloads('downloads.changed').filter(({ state }) => state === 'running');
    expect(running.length).toBeGreaterThanOrEqual(2);
    expect(running.length).toBeLessThanOrEqual(7); // 1 s at 4 a second, and both ends
    expect(running.at(-1)?.bytesPerSecond).toBeGreaterThan(30_000);
    expect(running.at(-1)?.bytesPerSecond).toBeLessThan(200_000);
  });

  it('does not fetch again what is there already', async () => {
    const test = await openWithHub();
    const first = await download(test);
    const before = hub.contentRequests().length;
    const second = await download(test);
    expect(second.id).not.toBe(first.id);
    expect(second.modelId).toBe(first.modelId);
    expect(hub.contentRequests().length).toBe(before);
  });

  it('says on the card that a file without a checksum was checked by its size only', async () => {
    hub.add(repository, { [name]: { content, sha256: null } });
    const test = await openWithHub();
    const done = await download(test);
    expect(test.library.get(done.modelId ?? '').note).toContain('only the size');
  });
});

describe('a connection that is cut', () => {
  it('at any of 50 offsets is taken up where it ended', async () => {
    const test = await openWithHub();
    for (let cut = 0; cut < 50; cut += 1) {
      const file = `cut-${cut}.gguf`;
      const bytes = randomBytes(5_000);
      const offset = Math.floor((cut * bytes.length) / 49);
      hub.add(repository, { [file]: bytes });
      hub.faults.push({ cutAfter: offset });
      const done = await download(test, file);
      expect(done.error, `cut at ${offset}`).toBeNull();
      expect(done.state, `cut at ${offset}`).toBe('done');
      await expectExact(test, bytes, file);
    }
  });

  it('again and again goes on as long as bytes arrive, each connection asking for the rest only', async () => {
    const test = await openWithHub();
    hub.faults.push(...Array.from({ length: 20 }, () => ({ cutAfter: 4_000 })));
    expect((await download(test)).state).toBe('done');
    await expectExact(test, content);
    const ranges = hub.contentRequests().map(({ headers }) => headers.range);
    expect(ranges[0]).toBeUndefined();
    expect(new Set(ranges).size).toBe(ranges.length);
  });

  it('six times without a new byte ends in an error that keeps what arrived', async () => {
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 4_000 }, ...Array.from({ length: 6 }, () => ({ cutAfter: 0 })));
    const failed = await download(test);
    expect(failed).toMatchObject({ state: 'failed', bytesDone: 4_000, error: { code: 'hub.unreachable' } });
    expect(existsSync(target(test))).toBe(false);
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect((await ended(test, failed.id)).state).toBe('done');
    await expectExact(test, content);
  });

  it('and a busy server (503, 429) are tried again', async () => {
    const test = await openWithHub();
    hub.faults.push({ status: 503 }, { status: 429 }, { cutAfter: 10_000 }, { status: 502 });
    expect((await download(test)).state).toBe('done');
    await expectExact(test, content);
  });
});

describe('wrong bytes', () => {
  it('are never published: the partial file is deleted and both hashes are named', async () => {
    const test = await openWithHub();
    hub.faults.push({ flipByteAt: 54_321 });
    const failed = await download(test);
    const wrong = Buffer.from(content);
    wrong[54_321] = (wrong[54_321] ?? 0) ^ 1;
    expect(failed.state).toBe('failed');
    expect(failed.error).toMatchObject({ code: 'download.corrupt', details: { expected: sha256(content), actual: sha256(wrong) } });
    expect(failed.error?.message).toContain(sha256(content));
    expect(existsSync(target(test))).toBe(false);
    expect(existsSync(partial(test))).toBe(false);
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect((await ended(test, failed.id)).state).toBe('done');
    await expectExact(test, content);
  });

  it('in a partial file from an earlier start are found too', async () => {
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 50_000 }, ...Array.from({ length: 6 }, () => ({ status: 500 })));
    const failed = await download(test);
    const bytes = await readFile(partial(test));
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(partial(test), bytes);
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect(await ended(test, failed.id)).toMatchObject({ state: 'failed', error: { code: 'download.corrupt' } });
    expect(existsSync(target(test))).toBe(false);
  });

  it('more or fewer than announced are not taken for the file', async () => {
    const test = await openWithHub();
    hub.faults.push({ contentLength: 99_000 }, { contentLength: 101_000 });
    expect((await download(test)).state).toBe('done');
    await expectExact(test, content);
    await rm(target(test));
    hub.faults.push({ contentLength: 99_000 }, { contentLength: 99_000 }, { contentLength: 99_000 });
    expect(await download(test)).toMatchObject({ state: 'failed', error: { code: 'download.corrupt' } });
    expect(existsSync(target(test))).toBe(false);
  });
});

describe('a server that treats ranges in its own way', () => {
  it('and sends everything (200) gives no mixture', async () => {
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 33_333 }, { ignoreRange: true });
    expect((await download(test)).state).toBe('done');
    await expectExact(test, content);
    expect(hub.contentRequests()).toHaveLength(2);
  });

  it.each([30_000, 40_000])('and sends another range (206 from %d) gives no mixture', async (otherRangeFrom) => {
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 33_333 }, { otherRangeFrom });
    expect((await download(test)).state).toBe('done');
    await expectExact(test, content);
  });

  it('and refuses the range (416) is asked for the whole file', async () => {
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 33_333 }, { status: 416 });
    expect((await download(test)).state).toBe('done');
    await expectExact(test, content);
    expect(hub.contentRequests().at(-1)?.headers.range).toBeUndefined();
  });
});

describe('a file that is replaced on the hub', () => {
  it('before the first byte came is fetched as it is now', async () => {
    const test = await openWithHub();
    hub.faults.push(...Array.from({ length: 6 }, () => ({ status: 500 })));
    const failed = await download(test);
    const newer = randomBytes(content.length);
    hub.add(repository, { [name]: newer });
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect((await ended(test, failed.id)).error).toBeNull();
    await expectExact(test, newer);
  });

  it('between two connections is fetched anew, whole', async () => {
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 60_000 }, ...Array.from({ length: 6 }, () => ({ status: 500 })));
    const failed = await download(test);
    expect(failed.bytesDone).toBe(60_000);
    const newer = randomBytes(80_000);
    hub.add(repository, { [name]: newer });
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect(await ended(test, failed.id)).toMatchObject({ state: 'done', bytesTotal: newer.length });
    await expectExact(test, newer);
  });

  it.each([
    ['with checksums', undefined, {}],
    ['without checksums', null, {}],
    ['with checksums and a server that ignores If-Range', undefined, { ignoreIfRange: true }],
    ['without checksums and with a server that ignores If-Range', null, { ignoreIfRange: true }],
  ])('by one of the same size, on a hub %s, is not mixed', async (_, checksum, fault) => {
    hub.add(repository, { [name]: { content, sha256: checksum } });
    const test = await openWithHub();
    hub.faults.push({ cutAfter: 60_000 }, ...Array.from({ length: 6 }, () => ({ status: 500 })), fault);
    const failed = await download(test);
    const newer = randomBytes(content.length);
    hub.add(repository, { [name]: { content: newer, sha256: checksum } });
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect((await ended(test, failed.id)).state).toBe('done');
    await expectExact(test, newer);
  });
});

describe('pause, resume, cancel', () => {
  const slow = { bytesPerSecond: 200_000 };

  async function running(test: TestLibrary): Promise<Download> {
    const { id } = await test.library.handlers['downloads.start']({ repository, file: name });
    await vi.waitFor(() => expect(current(test, id).bytesDone).toBeGreaterThan(10_000), { interval: 5 });
    return current(test, id);
  }

  it('a paused download keeps its bytes and goes on from there', async () => {
    const test = await openWithHub();
    hub.faults.push(slow);
    const { id } = await running(test);
    const paused = await test.library.handlers['downloads.pause']({ id });
    expect(paused).toMatchObject({ state: 'paused', bytesPerSecond: 0, error: null });
    const kept = (await readFile(partial(test))).length;
    expect(paused.bytesDone).toBe(kept);
    expect(await test.library.handlers['downloads.resume']({ id })).toMatchObject({ error: null });
    expect((await ended(test, id, ['done', 'failed'])).state).toBe('done');
    expect(hub.contentRequests().at(-1)?.headers.range).toBe(`bytes=${kept}-`);
    await expectExact(test, content);
  });

  it('after a restart of the app it is paused, and goes on from there', async () => {
    const first = await openWithHub();
    hub.faults.push(slow);
    const { id } = await running(first);
    const test = await first.reopen();
    const found = current(test, id);
    expect(found).toMatchObject({ state: 'paused', error: null });
    expect(found.bytesDone).toBeGreaterThan(10_000);
    await test.library.handlers['downloads.resume']({ id });
    expect((await ended(test, id, ['done', 'failed'])).state).toBe('done');
    expect(hub.contentRequests().at(-1)?.headers.range).toBe(`bytes=${found.bytesDone}-`);
    await expectExact(test, content);
  });

  it('a row that a killed app left as running is paused at the next start', async () => {
    const first = await openWithHub();
    hub.faults.push(slow);
    const { id } = await running(first);
    await first.library.dispose();
    await first.database.run("UPDATE downloads SET state = 'running' WHERE id = ?", [id]);
    const test = await first.reopen();
    expect(current(test, id).state).toBe('paused');
  });

  it('cancel deletes the partial file and the folders made for it', async () => {
    const test = await openWithHub();
    hub.faults.push(slow);
    const { id } = await running(test);
    await test.library.handlers['downloads.cancel']({ id });
    expect(test.library.handlers['downloads.list']({})).toEqual([]);
    expect(await readdir(path.join(test.folder, 'models'))).toEqual([]);
    expect(test.payloads('downloads.removed')).toEqual([{ id }]);
    await expect((async () => test.library.handlers['downloads.pause']({ id }))()).rejects.toMatchObject({ code: 'download.not-found' });
  });

  it('cancel of a finished download leaves the model', async () => {
    const test = await openWithHub();
    const { id } = await download(test);
    await test.library.handlers['downloads.cancel']({ id });
    await expectExact(test, content);
  });

  it('asking twice for the same file gives one download', async () => {
    const test = await openWithHub();
    hub.faults.push(slow);
    const [first, second] = await Promise.all([
      test.library.handlers['downloads.start']({ repository, file: name }),
      test.library.handlers['downloads.start']({ repository, file: name }),
    ]);
    expect(second.id).toBe(first.id);
  });

  it('two run at once, the third waits its turn', async () => {
    const test = await openWithHub();
    const files = ['a.gguf', 'b.gguf', 'c.gguf'];
    hub.add(repository, Object.fromEntries(files.map((file) => [file, content])));
    hub.faults.push(slow, slow, slow);
    const started: Download[] = [];
    for (const file of files) started.push(await test.library.handlers['downloads.start']({ repository, file }));
    await vi.waitFor(() => expect(started.map(({ id }) => current(test, id).state)).toEqual(['running', 'running', 'queued']), { interval: 5 });
    const [first, second, third] = started.map(({ id }) => id);
    await test.library.handlers['downloads.pause']({ id: first ?? '' });
    expect((await ended(test, third ?? '', ['running', 'done'])).error).toBeNull();
    for (const id of [second, third]) expect((await ended(test, id ?? '', ['done', 'failed'])).state).toBe('done');
    expect(current(test, first ?? '').state).toBe('paused');
  });
});

describe('a full disk', () => {
  it('is seen before the first byte', async () => {
    const disk: DownloadDisk = { open, freeBytes: async () => 1_000 };
    const test = await openWithHub({ transfer: { disk } });
    const failed = await download(test);
    expect(failed.error).toMatchObject({ code: 'disk.full', details: { neededBytes: content.length, freeBytes: 1_000 } });
    expect(hub.contentRequests()).toEqual([]);
  });

  it('in the middle keeps what was written, and the download goes on when there is room', async () => {
    let room = 40_000;
    const disk: DownloadDisk = {
      freeBytes: async () => 10_000_000,
      open: async (file, flags, mode) => {
        const handle = await open(file, flags, mode);
        const write = handle.write.bind(handle);
        const limited = async (buffer: Uint8Array, offset: number, length: number, position: number) => {
          if (position >= room) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
          return write(buffer, offset, Math.min(length, room - position), position);
        };
        return Object.assign(handle, { write: limited });
      },
    };
    const test = await openWithHub({ transfer: { disk } });
    const failed = await download(test);
    expect(failed).toMatchObject({ state: 'failed', bytesDone: 40_000 });
    expect(failed.error).toMatchObject({ code: 'disk.full', details: { neededBytes: 60_000, freeBytes: 10_000_000 } });
    expect(existsSync(target(test))).toBe(false);
    room = 1_000_000;
    await test.library.handlers['downloads.resume']({ id: failed.id });
    expect((await ended(test, failed.id)).state).toBe('done');
    await expectExact(test, content);
  });
});

describe('a split model', () => {
  const parts = ['big-00001-of-00003.gguf', 'big-00002-of-00003.gguf', 'big-00003-of-00003.gguf'];
  const contents = parts.map((_, index) => randomBytes(20_000 + index));

  it('is one download of all its parts, published together', async () => {
    hub.add(repository, Object.fromEntries(parts.map((part, index) => [part, contents[index] ?? Buffer.alloc(0)])));
    const test = await openWithHub();
    hub.faults.push(null, { cutAfter: 5_000 }, ...Array.from({ length: 6 }, () => ({ status: 500 })));
    const failed = await download(test, parts[1]);
    expect(failed).toMatchObject({ state: 'failed', file: parts[0], bytesDone: 25_000, bytesTotal: 60_003 });
    expect(parts.map((part) => existsSync(target(test, part)))).toEqual([false, false, false]);
    await test.library.handlers['downloads.resume']({ id: failed.id });
    const done = await ended(test, failed.id);
    expect(done).toMatchObject({ state: 'done', modelId: 'big' });
    for (const [index, part] of parts.entries()) await expectExact(test, contents[index] ?? Buffer.alloc(0), part);
    expect(test.library.get('big')).toMatchObject({ bytes: 60_003, problem: null });
  });

  it('with a part missing on the hub is refused before it begins', async () => {
    hub.add(repository, { [parts[0] ?? '']: content });
    const test = await openWithHub();
    await expect(download(test, parts[0])).rejects.toMatchObject({ code: 'hub.not-found', message: expect.stringContaining(parts[1] ?? '') });
  });
});

describe('what a hub may not do', () => {
  it.each([
    '../../escaped.gguf',
    '/etc/escaped.gguf',
    'a/../../../escaped.gguf',
    'a\\..\\escaped.gguf',
    'a/./b.gguf',
    'nul.gguf',
    'c:escaped.gguf',
    'a\u0000b.gguf',
  ])('lead a file out of the download folder: %j', async (file) => {
    hub.add(repository, { [file]: content });
    const test = await openWithHub();
    await expect(download(test, file)).rejects.toMatchObject({ code: 'hub.refused' });
    expect(hub.contentRequests()).toEqual([]);
    expect(existsSync(path.join(test.folder, 'models', 'someone'))).toBe(false);
  });

  it('have the token go to another host', async () => {
    vi.stubEnv('HF_TOKEN', 'hf_secret');
    try {
      hub.add(repository, { [name]: content }, { gated: true });
      const test = await openWithHub();
      expect((await download(test)).state).toBe('done');
    } finally {
      vi.unstubAllEnvs();
    }
    const authorizations = (host: string) => new Set(hub.seen.filter((request) => request.host === host).map(({ headers }) => headers.authorization));
    expect(authorizations('hub')).toEqual(new Set(['Bearer hf_secret']));
    expect(authorizations('content')).toEqual(new Set([undefined]));
  });

  it('be silent about a gated file: the error says what to do', async () => {
    hub.add(repository, { [name]: content }, { gated: true });
    const test = await openWithHub();
    const failed = await download(test);
    expect(failed.error).toMatchObject({ code: 'hub.refused', message: expect.stringContaining('HF_TOKEN') });
  });
});
