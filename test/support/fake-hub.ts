// A model hub on loopback, with the routes, headers and redirects of huggingface.co and faults on demand.
// Two servers: the hub (API, `resolve` redirects) and a content server on another port, as huggingface.co and its CDN are.
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepository {
  files: Record<string, FakeFile>;
  gated?: boolean;
  tags?: string[];
  downloads?: number;
}
export interface FakeFile {
  content: Buffer;
  /** what the hub claims; null: it gives no checksum at all */
  sha256?: string | null;
}

/** How one answer of the content server goes wrong. */
export interface Fault {
  /** closes the connection after this many body bytes */
  cutAfter?: number;
  /** answers with this status and no content */
  status?: number;
  /** answers 200 with everything, whatever range was asked for */
  ignoreRange?: boolean;
  /** answers 206 although the file is not the one that If-Range names */
  ignoreIfRange?: boolean;
  /** answers 206 for the range that begins here instead */
  otherRangeFrom?: number;
  /** claims this Content-Length */
  contentLength?: number;
  /** changes the byte at this position of the file */
  flipByteAt?: number;
  /** sends this many bytes a second, in small steps */
  bytesPerSecond?: number;
}

export interface SeenRequest {
  host: 'hub' | 'content';
  url: string;
  headers: http.IncomingHttpHeaders;
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export class FakeHub {
  readonly repositories = new Map<string, FakeRepository>();
  /** taken one by one, for each answer of the content server; null: no fault */
  readonly faults: (Fault | null)[] = [];
  readonly seen: SeenRequest[] = [];
  /** status of every answer of the hub itself, instead of the real one */
  hubStatus: number | null = null;
  /** body of every answer of the hub's API, instead of the real one */
  hubBody: string | null = null;
  readonly #hub = http.createServer((request, response) => this.#answerHub(request, response));
  readonly #content = http.createServer((request, response) => void this.#answerContent(request, response));

  static async start(): Promise<FakeHub> {
    const fake = new FakeHub();
    for (const server of [fake.#hub, fake.#content]) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#hub)}`;
  }

  add(repository: string, files: Record<string, Buffer | FakeFile>, extra: Omit<FakeRepository, 'files'> = {}): void {
    const entries = Object.entries(files).map(([name, file]) => [name, Buffer.isBuffer(file) ? { content: file } : file] as const);
    this.repositories.set(repository, { files: Object.fromEntries(entries), ...extra });
  }

  contentRequests(): SeenRequest[] {
    return this.seen.filter(({ host }) => host === 'content');
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#content]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answerHub(request: http.IncomingMessage, response: http.ServerResponse): http.ServerResponse {
    const url = new URL(request.url ?? '/', this.url);
    this.seen.push({ host: 'hub', url: url.pathname + url.search, headers: request.headers });
    if (this.hubStatus !== null) return sendJson(response, this.hubStatus, { error: 'as told' });
    if (this.hubBody !== null) return response.end(this.hubBody);
    if (url.pathname === '/api/models') return sendJson(response, 200, this.#search(url));
    const tree = /^\/api\/models\/(.+)\/tree\/main$/.exec(url.pathname);
    const resolve = /^\/([^/]+\/[^/]+)\/resolve\/main\/(.+)$/.exec(url.pathname);
    const repository = this.repositories.get(decodeURIComponent(tree?.[1] ?? resolve?.[1] ?? ''));
    if (!repository) return sendJson(response, 404, { error: 'Repository not found' });
    if (tree) return sendJson(response, 200, Object.entries(repository.files).map(treeEntry));
    if (repository.gated && request.headers.authorization === undefined) return sendJson(response, 401, { error: 'Access is restricted' });
    const name = decodeURIComponent(resolve?.[2] ?? '');
    const file = repository.files[name];
    if (!file) return sendJson(response, 404, { error: 'Entry not found' });
    const linked = file.sha256 === null ? {} : { 'x-linked-etag': `"${file.sha256 ?? sha256(file.content)}"`, 'x-linked-size': file.content.length };
    return response.writeHead(302, { location: `http://127.0.0.1:${portOf(this.#content)}/${resolve?.[1]}/${encodeURIComponent(name)}`, ...linked }).end();
  }

  #search(url: URL): object[] {
    const query = url.searchParams.get('search')?.toLowerCase() ?? '';
    const filters = url.searchParams.getAll('filter');
    return [...this.repositories]
      .filter(([name, { tags = ['gguf'] }]) => name.toLowerCase().includes(query) && filters.every((tag) => tags.includes(tag)))
      .slice(0, Number(url.searchParams.get('limit') ?? 30))
      .map(([name, { tags = ['gguf'], downloads = 0, gated }]) => {
        return { _id: name, id: name, likes: 3, downloads, private: false, gated: gated ? 'auto' : false, lastModified: '2026-05-04T03:02:01.000Z', tags };
      });
  }

  async #answerContent(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    this.seen.push({ host: 'content', url: request.url ?? '', headers: request.headers });
    const fault = this.faults.shift() ?? {};
    const [, owner, name, file] = (request.url ?? '').split('/');
    const found = this.repositories.get(`${owner}/${name}`)?.files[decodeURIComponent(file ?? '')];
    if (fault.status !== undefined || !found) return void response.writeHead(fault.status ?? 404).end();
    const content = Buffer.from(found.content);
    if (fault.flipByteAt !== undefined) content[fault.flipByteAt] = (content[fault.flipByteAt] ?? 0) ^ 1;
    const etag = `"${sha256(found.content).slice(0, 32)}"`;
    const start = rangeStart(request, etag, fault);
    if (start !== null && start >= content.length) return void response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    const from = fault.otherRangeFrom ?? start ?? 0;
    const body = content.subarray(from);
    response.writeHead(start === null ? 200 : 206, {
      etag,
      'content-length': fault.contentLength ?? body.length,
      ...(start === null ? {} : { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    await sendBody(response, body, fault);
  }
}

function portOf(server: http.Server): number {
  return (server.address() as AddressInfo).port; // a listening TCP server has one
}

function sendJson(response: http.ServerResponse, status: number, body: unknown): http.ServerResponse {
  return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function treeEntry([path, { content, sha256: claimed }]: [string, FakeFile]): object {
  const lfs = claimed === null ? {} : { lfs: { oid: claimed ?? sha256(content), size: content.length, pointerSize: 134 } };
  return { type: 'file', path, size: content.length, oid: 'f'.repeat(40), ...lfs };
}

/** null: the whole file is to be sent. */
function rangeStart(request: http.IncomingMessage, etag: string, fault: Fault): number | null {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  if (!range || fault.ignoreRange) return null;
  const condition = request.headers['if-range'];
  return condition === undefined || condition === etag || fault.ignoreIfRange ? Number(range[1]) : null;
}

async function sendBody(response: http.ServerResponse, body: Buffer, fault: Fault): Promise<void> {
  const shown = fault.cutAfter === undefined ? body : body.subarray(0, fault.cutAfter);
  if (fault.bytesPerSecond === undefined) {
    if (shown.length > 0) await new Promise((resolve) => response.write(shown, resolve));
  } else {
    const step = Math.max(1, Math.floor(fault.bytesPerSecond / 50));
    for (let offset = 0; offset < shown.length && !response.destroyed; offset += step) {
      response.write(shown.subarray(offset, offset + step));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  if (fault.cutAfter === undefined) return void response.end();
  await new Promise((resolve) => setTimeout(resolve, 10)); // a reset on the heels of the bytes could overtake them
  response.destroy();
}
