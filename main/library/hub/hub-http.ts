// HTTP to the hub and the servers that it redirects to.
import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { MoebiusError } from '../../contract/index.ts';
import { abortReason } from '../concurrency.ts';

const maximumRedirects = 5;
const connectTimeoutMs = 15_000;
/** to the first byte, and between two bytes */
const stallTimeoutMs = 30_000;

export interface HubReply {
  status: number;
  headers: IncomingHttpHeaders;
  body: Dispatcher.ResponseData['body'];
  /** headers of the hub's own answer, which may have been a redirect: it carries X-Linked-ETag */
  hubHeaders: IncomingHttpHeaders;
}

/** A fault on the way that may be gone at the next attempt. */
export class ConnectionFault extends Error {
  override readonly name = 'ConnectionFault';
}

export function headerText(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

function readableCause(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(readableCause).join('; ');
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  return error.message || code || error.name;
}

/** What to throw for anything that went wrong between here and `host`. */
export function faultOf(cause: unknown, host: string, signal: AbortSignal): Error {
  if (cause instanceof MoebiusError || cause instanceof ConnectionFault) return cause;
  if (signal.aborted && !isTimeout(signal.reason)) return abortReason(signal);
  return new ConnectionFault(isTimeout(signal.reason) ? `${host}: no answer in time` : `${host}: ${readableCause(cause)}`, { cause });
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

/**
 * GET with redirects. The token of the environment (HF_TOKEN) goes to the hub and to nobody it redirects to.
 * Proxies come from the environment too (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
 */
export class HubHttp {
  readonly #hubUrl: () => string;
  readonly #agent = new EnvHttpProxyAgent({
    connect: { timeout: connectTimeoutMs },
    headersTimeout: stallTimeoutMs,
    bodyTimeout: stallTimeoutMs,
    noProxy: [process.env.no_proxy ?? process.env.NO_PROXY ?? '', 'localhost', '127.0.0.1', '::1'].join(','),
  });
  readonly #token: string | undefined;

  /** `hubUrl` is asked at every request: the setting may change. */
  constructor(hubUrl: () => string, token = process.env.HF_TOKEN) {
    this.#hubUrl = hubUrl;
    this.#token = token;
  }

  /** Any final status is a reply. Rejects with ConnectionFault when there is none, or when `signal` aborts. The body must be read or destroyed. */
  async get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<HubReply> {
    const hub = new URL(this.#hubUrl());
    let target = new URL(url);
    let hubHeaders: IncomingHttpHeaders | undefined;
    for (let hop = 0; ; hop += 1) {
      const sent: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'moebius', ...headers };
      if (this.#token && target.origin === hub.origin) sent.authorization = `Bearer ${this.#token}`;
      const reply = await this.#once(target, sent, signal);
      if (target.origin === hub.origin) hubHeaders = { ...hubHeaders, ...reply.headers };
      const location = headerText(reply.headers, 'location');
      if (![301, 302, 303, 307, 308].includes(reply.statusCode) || location === null) {
        return { status: reply.statusCode, headers: reply.headers, body: reply.body, hubHeaders: hubHeaders ?? reply.headers };
      }
      await reply.body.dump();
      if (hop >= maximumRedirects) throw new ConnectionFault(`more than ${maximumRedirects} redirects, the last one to ${target.host}`);
      target = this.#follow(target, location);
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #follow(from: URL, location: string): URL {
    const next = URL.parse(location, from);
    if (next && (next.protocol === 'https:' || (next.protocol === 'http:' && from.protocol === 'http:'))) return next;
    throw new MoebiusError(
      'hub.refused',
      `${from.host} redirected to ${next?.origin ?? 'an address that cannot be read'}, which is not a secure connection. Check the hub address in Settings.`,
    );
  }

  async #once(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    try {
      return await request(url, { method: 'GET', headers, signal, dispatcher: this.#agent });
    } catch (cause) {
      throw faultOf(cause, url.host, signal);
    }
  }
}
