// Headless mode: serves the built UI and the RPC WebSocket to a browser on this machine.
import type { AddressInfo } from 'node:net';
import fastifyStatic from '@fastify/static';
import fastify, { type FastifyInstance } from 'fastify';
import { MoebiusError } from '../contract/index.ts';
import type { Logger } from '../engine/log.ts';
import type { Dispatcher } from '../rpc/dispatcher.ts';
import type { EventHub } from '../rpc/event-hub.ts';
import { LaunchTokens } from '../rpc/launch-tokens.ts';
import { RpcWebSocketServer } from '../rpc/websocket-server.ts';
import { contentSecurityPolicy } from './content-security-policy.ts';
import { loopbackGuard } from './request-guard.ts';

export interface WebServerOptions {
  /** folder of the built UI */
  root: string;
  /** 0: any free one */
  port: number;
  dispatcher: Dispatcher;
  hub: EventHub;
  logger: Logger;
  /** called with a fresh URL whenever the last one was used up */
  onUrl(url: string): void;
}

export interface WebServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on 127.0.0.1 only. Rejects with MoebiusError when the port is taken. */
export async function startWebServer(options: WebServerOptions): Promise<WebServer> {
  // browsers keep connections open, also such that they never sent a request on: closing must not wait for them
  const app = fastify({ logger: false, forceCloseConnections: true });
  const guard = loopbackGuard(() => port);
  let port = options.port;
  guardRequests(app, () => port);
  await app.register(fastifyStatic, { root: options.root, cacheControl: false, etag: true });
  try {
    await app.listen({ host: '127.0.0.1', port: options.port });
  } catch (error) {
    throw listenError(error, options.port);
  }
  port = (app.server.address() as AddressInfo).port; // a TCP server that listens has an AddressInfo

  const tokens = new LaunchTokens();
  const offerUrl = () => options.onUrl(`http://127.0.0.1:${port}/#token=${tokens.issue()}`);
  const sockets = new RpcWebSocketServer({ server: app.server, path: '/rpc', guard, tokens, onTokenSpent: offerUrl, ...pick(options) });
  offerUrl();
  return {
    port,
    async close() {
      sockets.dispose();
      await app.close();
    },
  };
}

const pick = ({ dispatcher, hub, logger }: WebServerOptions) => ({ dispatcher, hub, logger });

function guardRequests(app: FastifyInstance, port: () => number): void {
  const guard = loopbackGuard(port);
  app.addHook('onRequest', async (request, reply) => {
    if (!guard.allows(request.headers.host, undefined)) return reply.code(403).type('text/plain').send('This address serves only its own pages.');
    reply.headers({
      'content-security-policy': contentSecurityPolicy(`ws://127.0.0.1:${port()} ws://localhost:${port()}`),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
  });
}

export function listenError(error: unknown, port: number): MoebiusError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const message =
    code === 'EADDRINUSE'
      ? `Port ${port} is in use by another program. Choose another one with --port, or 0 for any free one.`
      : `Could not listen on 127.0.0.1:${port}: ${error instanceof Error ? error.message : String(error)}`;
  return new MoebiusError('request.invalid', message, { details: { port }, cause: error });
}
