// moebius://app/: the built UI from its folder, instead of file://, with the same headers as the headless web server.
import { readFile, realpath } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import type { Protocol } from 'electron';
import { contentSecurityPolicy } from '../main/server/content-security-policy.ts';
import { APP_SCHEME, isAppUrl } from './security.ts';

/** Must be called before the app is ready. */
export function registerScheme(protocol: Pick<Protocol, 'registerSchemesAsPrivileged'>): void {
  protocol.registerSchemesAsPrivileged([{ scheme: APP_SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } }]);
}

const mimeTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.wasm': 'application/wasm',
};

const headers = {
  'content-security-policy': contentSecurityPolicy(''),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

const refuse = (status: number, text: string) => new Response(text, { status, headers: { ...headers, 'content-type': 'text/plain; charset=utf-8' } });

/** The file below `root` that an address means; null if it means none (bad escapes, another host, a way out of `root`). */
export function fileOf(root: string, address: string): string | null {
  if (!isAppUrl(address)) return null;
  try {
    const path = decodeURIComponent(new URL(address).pathname);
    const parts = path.split('/').filter((part) => part !== '');
    // `new URL` has resolved plain dots; what comes here was escaped to get past it.
    if (/[\\\0:]/.test(path) || parts.some((part) => part === '..' || part === '.')) return null;
    return join(root, ...(parts.length === 0 ? ['index.html'] : parts));
  } catch {
    return null;
  }
}

/** Answers requests for the UI's files; 404 for what is not a file below `root`, symbolic links included. */
export function createHandler(root: string): (request: Pick<Request, 'method' | 'url'>) => Promise<Response> {
  return async ({ method, url }) => {
    if (method !== 'GET' && method !== 'HEAD') return refuse(405, 'Only GET and HEAD.');
    const path = fileOf(root, url);
    const type = path === null ? undefined : mimeTypes[extname(path)];
    if (path === null || type === undefined) return refuse(404, 'Not found.');
    try {
      const [folder, file] = await Promise.all([realpath(root), realpath(path)]);
      if (!file.startsWith(folder + sep)) return refuse(404, 'Not found.');
      const body = new Uint8Array(await readFile(file));
      return new Response(method === 'HEAD' ? null : body, { headers: { ...headers, 'content-type': type, 'content-length': String(body.length) } });
    } catch {
      return refuse(404, 'Not found.');
    }
  };
}
