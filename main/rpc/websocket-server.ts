// The contract over a WebSocket on loopback. The first message must be {token} (one-time) or {session}; see launch-tokens.ts.
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import type { EventName, EventPayload } from '../contract/index.ts';
import type { Logger } from '../engine/log.ts';
import { type RequestGuard, refuseUpgrade } from '../server/request-guard.ts';
import { encodeBinaryEvent, hasData } from './binary-event.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EventHub } from './event-hub.ts';
import type { LaunchTokens } from './launch-tokens.ts';
import { type Channel, Session } from './session.ts';

const LARGEST_MESSAGE = 64 * 1024 * 1024; // an import of a long conversation
const GREETING_TIMEOUT = 10_000; // ms
/** Live expert frames are dropped while this many bytes wait for a slow UI; it reads totals with experts.usage. */
const FRAME_BACKLOG = 4 * 1024 * 1024;
const UNAUTHORISED = 4401;

const Greeting = z.union([z.strictObject({ token: z.string().max(200) }), z.strictObject({ session: z.string().max(200) })]);

export interface WebSocketServerOptions {
  server: Server;
  path: string;
  guard: RequestGuard;
  tokens: LaunchTokens;
  dispatcher: Dispatcher;
  hub: EventHub;
  logger: Logger;
  /** called when a launch token was spent, so that a new one can be shown */
  onTokenSpent?(): void;
}

export class RpcWebSocketServer {
  readonly #options: WebSocketServerOptions;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: LARGEST_MESSAGE });
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket, head);

  constructor(options: WebSocketServerOptions) {
    this.#options = options;
    options.server.on('upgrade', this.#onUpgrade);
  }

  dispose(): void {
    this.#options.server.off('upgrade', this.#onUpgrade);
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#sockets.close();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const { guard, path } = this.#options;
    if (request.url !== path) refuseUpgrade(socket, 404);
    else if (!guard.allows(request.headers.host, request.headers.origin, { originRequired: true })) refuseUpgrade(socket, 403);
    else this.#sockets.handleUpgrade(request, socket, head, (webSocket) => this.#greet(webSocket));
  }

  #greet(socket: WebSocket): void {
    const timer = setTimeout(() => socket.close(UNAUTHORISED, 'no token came'), GREETING_TIMEOUT);
    socket.on('error', () => socket.terminate());
    socket.once('close', () => clearTimeout(timer));
    socket.once('message', (data) => {
      clearTimeout(timer);
      const session = this.#authenticate(parseJson(String(data)));
      if (session === null) {
        socket.close(UNAUTHORISED, 'the token is not valid (it works once)');
        return;
      }
      socket.send(JSON.stringify({ ready: true, session }));
      this.#serve(socket);
    });
  }

  #authenticate(message: unknown): string | null {
    const greeting = Greeting.safeParse(message);
    if (!greeting.success) return null;
    const { tokens, onTokenSpent } = this.#options;
    if ('session' in greeting.data) return tokens.isSession(greeting.data.session) ? greeting.data.session : null;
    const session = tokens.redeem(greeting.data.token);
    if (session !== null) onTokenSpent?.();
    return session;
  }

  #serve(socket: WebSocket): void {
    const { dispatcher, hub, logger } = this.#options;
    const session = new Session(dispatcher, hub, webSocketChannel(socket), logger);
    socket.on('message', (data, binary) => void session.receive(binary ? undefined : parseJson(String(data))));
    socket.once('close', () => session.dispose());
  }
}

function webSocketChannel(socket: WebSocket): Channel {
  return {
    send: (message) => socket.send(JSON.stringify(message)),
    sendEvent<E extends EventName>(event: E, payload: EventPayload<E>) {
      if (!hasData(payload)) socket.send(JSON.stringify({ event, payload }));
      else if (socket.bufferedAmount < FRAME_BACKLOG) socket.send(encodeBinaryEvent(event, payload));
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
