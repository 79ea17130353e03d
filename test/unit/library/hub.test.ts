// Searching a hub and listing files, with every way in which a hub can fail.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HubClient } from '../../../main/library/hub/hub-client.ts';
import { HubHttp } from '../../../main/library/hub/hub-http.ts';
import { FakeHub, sha256 } from '../../support/fake-hub.ts';

let hub: FakeHub;
let http: HubHttp;
let client: HubClient;
let url: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  url = hub.url;
  http = new HubHttp(() => url, undefined);
  client = new HubClient(http, () => url);
});
afterEach(async () => {
  await http.close();
  await hub.close();
});

describe('search', () => {
  it('gives GGUF repositories only, with what the hub says of them', async () => {
    hub.add('a/Moe-GGUF', {}, { tags: ['gguf', 'license:apache-2.0'], downloads: 12, gated: true });
    hub.add('a/Moe-safetensors', {}, { tags: ['safetensors'] });
    expect(await client.search('moe', 30)).toEqual([
      { repository: 'a/Moe-GGUF', downloads: 12, likes: 3, updatedAt: '2026-05-04T03:02:01.000Z', license: 'apache-2.0', gated: true },
    ]);
  });

  it('stops at the limit and asks for no more', async () => {
    for (let index = 0; index < 5; index += 1) hub.add(`a/m${index}`, {});
    expect(await client.search('', 2)).toHaveLength(2);
    expect(new URL(hub.seen[0]?.url ?? '', url).searchParams.get('limit')).toBe('2');
  });

  it('takes the address of a repository page', async () => {
    hub.add('a/Moe-GGUF', {});
    expect(await client.search('https://huggingface.co/a/Moe-GGUF', 30)).toHaveLength(1);
  });
});

describe('files', () => {
  it('gives sizes and sha256, split models as one, and no projectors', async () => {
    const content = randomBytes(10);
    hub.add('a/b', {
      'one-Q4_0.gguf': content,
      'sub/two-00001-of-00002.gguf': randomBytes(20),
      'sub/two-00002-of-00002.gguf': randomBytes(30),
      'half-00001-of-00002.gguf': randomBytes(5),
      'mmproj-f16.gguf': randomBytes(5),
      'README.md': randomBytes(5),
    });
    expect(await client.files('a/b')).toEqual([
      { path: 'one-Q4_0.gguf', bytes: 10, sha256: sha256(content), parts: 1 },
      { path: 'sub/two-00001-of-00002.gguf', bytes: 50, sha256: null, parts: 2 },
    ]);
  });

  it.each(['../x', 'a/b/c', 'a/..', '', 'a b/c', '?x'])('refuses a repository called %j without asking', async (name) => {
    await expect(client.files(name)).rejects.toMatchObject({ code: 'hub.not-found' });
    expect(hub.seen).toEqual([]);
  });
});

describe('a hub that fails', () => {
  it.each([
    [401, 'hub.refused'],
    [403, 'hub.refused'],
    [404, 'hub.not-found'],
    [429, 'hub.refused'],
    [500, 'hub.unreachable'],
    [503, 'hub.unreachable'],
  ])('with HTTP %d is %s', async (status, code) => {
    hub.hubStatus = status;
    await expect(client.files('a/b')).rejects.toMatchObject({ code, details: { status } });
  });

  it('by not being there says so, with the address and the setting', async () => {
    await hub.close();
    const search = client.search('x', 5);
    await expect(search).rejects.toMatchObject({ code: 'hub.unreachable', message: expect.stringContaining('mirror') });
    await expect(search).rejects.toMatchObject({ message: expect.stringContaining(url) });
    hub = await FakeHub.start();
  });

  it('by answering with a web page is not taken for a hub', async () => {
    hub.hubBody = '<html>please sign in</html>';
    await expect(client.search('x', 5)).rejects.toMatchObject({ code: 'hub.unreachable', message: expect.stringContaining('JSON') });
  });

  it('by sending entries of another shape loses only those', async () => {
    hub.hubBody = JSON.stringify([
      { type: 'file', path: 7 },
      { type: 'file', path: 'x.gguf', size: 3 },
      { type: 'file', path: 'y.gguf', size: -3 },
    ]);
    expect(await client.files('a/b')).toEqual([{ path: 'x.gguf', bytes: 3, sha256: null, parts: 1 }]);
  });
});

it('a mirror below a path is addressed below that path', async () => {
  url = `${hub.url}/mirror`;
  hub.hubStatus = 404;
  await expect(client.files('a/b')).rejects.toMatchObject({ code: 'hub.not-found' });
  expect(hub.seen[0]?.url).toMatch(/^\/mirror\/api\/models\/a\/b\/tree\/main/);
});
