// Searching the hub and listing a repository's GGUF files.
import { listFiles, listModels } from '@huggingface/hub';
import { z } from 'zod';
import { type HubRepository, MoebiusError, type Result } from '../../contract/index.ts';
import { parseSplitName, partNames } from '../models/split-names.ts';
import { hubError } from './hub-errors.ts';
import { faultOf, type HubHttp, type HubReply, headerText } from './hub-http.ts';

const requestTimeoutMs = 30_000;
/** bytes of one JSON answer */
const maximumAnswerBytes = 32 * 1024 * 1024;
/** entries of one repository that are looked at */
const maximumEntries = 20_000;

// The hub's answers come from outside: what the library types promise is checked here.
const Entry = z.object({
  type: z.string(),
  path: z.string(),
  size: z.number().int().nonnegative(),
  lfs: z.object({ oid: z.string(), size: z.number().int().nonnegative() }).optional(),
});
const Found = z.object({
  name: z.string(),
  downloads: z.number().catch(0),
  likes: z.number().catch(0),
  gated: z.unknown(),
  tags: z.array(z.string()).catch([]),
  updatedAt: z.date().optional().catch(undefined),
});

/** One file of the repository, a part of a split model being one of several. */
export interface HubPart {
  path: string;
  bytes: number;
  /** hex; null if the hub gives none */
  sha256: string | null;
}

const repositoryPattern = /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/;

/** `owner/name`, also out of the address of its page. */
export function repositoryName(text: string): string {
  const name = text
    .trim()
    .replace(/^https?:\/\/[^/]+\//, '')
    .replace(/\/+$/, '');
  if (repositoryPattern.test(name) && !name.includes('..')) return name;
  throw new MoebiusError('hub.not-found', `"${text}" is not the name of a repository. Names look like owner/model-GGUF.`, { details: { repository: text } });
}

/** Files that belong to a model and are none. */
function isCompanion(path: string): boolean {
  return /(^|\/)(mmproj|imatrix)[^/]*\.gguf$/i.test(path);
}

export class HubClient {
  readonly #http: HubHttp;
  readonly #hubUrl: () => string;

  constructor(http: HubHttp, hubUrl: () => string) {
    this.#http = http;
    this.#hubUrl = hubUrl;
  }

  /** Repositories that have GGUF files, the most downloaded first. An empty query gives the most downloaded of all. */
  async search(query: string, limit: number): Promise<HubRepository[]> {
    const wanted = query.trim().replace(/^https?:\/\/[^/]+\//, '');
    return this.#ask(`a search for "${wanted}"`, async (hubUrl) => {
      const search = { tags: ['gguf'], ...(wanted ? { query: wanted } : {}) };
      const found: HubRepository[] = [];
      for await (const entry of listModels({ search, limit, hubUrl, sort: 'downloads', additionalFields: ['tags'], fetch: this.#fetch })) {
        const parsed = Found.safeParse(entry);
        if (!parsed.success) continue;
        const { name, downloads, likes, gated, tags, updatedAt } = parsed.data;
        const license = tags.find((tag) => tag.startsWith('license:'))?.slice('license:'.length) ?? null;
        found.push({ repository: name, downloads, likes, updatedAt: updatedAt?.toISOString() ?? null, license, gated: Boolean(gated) });
      }
      return found;
    });
  }

  /** A split model is one entry: its first part's path, the sum of the bytes. Vision projectors and importance matrices are left out. */
  async files(repository: string): Promise<Result<'hub.files'>> {
    const parts = await this.#list(repository);
    const files: Result<'hub.files'> = [];
    for (const part of parts.values()) {
      const split = parseSplitName(part.path);
      if (isCompanion(part.path) || (split && split.part !== 1)) continue;
      const all = partNames(part.path).map((name) => parts.get(name));
      if (all.some((entry) => !entry)) continue; // still being uploaded
      files.push({
        path: part.path,
        bytes: all.reduce((sum, entry) => sum + (entry?.bytes ?? 0), 0),
        sha256: all.length === 1 ? part.sha256 : null,
        parts: all.length,
      });
    }
    return files.sort((left, right) => left.bytes - right.bytes);
  }

  /** Every file of the model that `file` is (a part of), in order. Rejects with hub.not-found if one is missing. */
  async parts(repository: string, file: string): Promise<HubPart[]> {
    const known = await this.#list(repository);
    return partNames(file).map((name) => {
      const part = known.get(name);
      if (part) return part;
      throw new MoebiusError('hub.not-found', `${repository} has no file ${name}. It may have been renamed or replaced: look at its files again.`, {
        details: { repository, file: name },
      });
    });
  }

  fileUrl(repository: string, file: string): string {
    return `${this.#hubUrl()}/${repositoryName(repository)}/resolve/main/${file.split('/').map(encodeURIComponent).join('/')}`;
  }

  async #list(repository: string): Promise<Map<string, HubPart>> {
    const name = repositoryName(repository);
    return this.#ask(`repository ${name}`, async (hubUrl) => {
      const parts = new Map<string, HubPart>();
      let entries = 0;
      for await (const entry of listFiles({ repo: { type: 'model', name }, recursive: true, hubUrl, fetch: this.#fetch })) {
        entries += 1;
        if (entries > maximumEntries) break;
        const parsed = Entry.safeParse(entry);
        if (!parsed.success || parsed.data.type !== 'file' || !parsed.data.path.toLowerCase().endsWith('.gguf')) continue;
        const { path, size, lfs } = parsed.data;
        const sha256 = lfs && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : null;
        parts.set(path, { path, bytes: lfs?.size ?? size, sha256 });
      }
      return parts;
    });
  }

  async #ask<T>(what: string, ask: (hubUrl: string) => Promise<T>): Promise<T> {
    const hubUrl = this.#hubUrl();
    try {
      return await ask(hubUrl);
    } catch (error) {
      throw hubError(error, what, hubUrl);
    }
  }

  /** `fetch` for @huggingface/hub over our own HTTP: token, proxy, redirects and limits are the same as for downloads. */
  readonly #fetch: typeof fetch = async (input) => {
    const url = input instanceof Request ? input.url : input.toString();
    const signal = AbortSignal.timeout(requestTimeoutMs);
    const reply = await this.#http.get(url, { accept: 'application/json' }, signal);
    const text = await readAnswer(reply, new URL(url).host, signal);
    const link = headerText(reply.headers, 'link');
    const type = headerText(reply.headers, 'content-type');
    return new Response(text, { status: reply.status, headers: { ...(link ? { link } : {}), ...(type ? { 'content-type': type } : {}) } });
  };
}

async function readAnswer(reply: HubReply, host: string, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of reply.body) {
      bytes += chunk.length;
      if (bytes > maximumAnswerBytes) {
        throw new MoebiusError('hub.unreachable', `${host} answered with more than ${maximumAnswerBytes} bytes. Check the hub address in Settings.`);
      }
      chunks.push(chunk);
    }
  } catch (cause) {
    throw faultOf(cause, host, signal);
  }
  return Buffer.concat(chunks).toString('utf8');
}
