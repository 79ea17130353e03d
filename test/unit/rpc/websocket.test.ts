import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Handlers, MoebiusError } from '../../../main/contract/index.ts';
import { silentLogger } from '../../../main/engine/log.ts';
import { Dispatcher } from '../../../main/rpc/dispatcher.ts';
import { EventHub } from '../../../main/rpc/event-hub.ts';
import { LaunchTokens } from '../../../main/rpc/launch-tokens.ts';
import { RpcWebSocketServer } from '../../../main/rpc/websocket-server.ts';
import { loopbackGuard } from '../../../main/server/request-guard.ts';

const handlers = {
  'chats.get': async () => {
    throw new MoebiusError('chat.not-found', 'There is no such chat.');
  },
  'presets.list': async () => [],
  'app.info': async () => {
    throw new TypeError('a bug');
  },
} as unknown as Handlers; // only what these tests call

let server: Server;
let sockets: RpcWebSocketServer;
let tokens: LaunchTokens;
let hub: EventHub;
let port: number;

beforeEach(async () => {
  server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port; // listening on TCP
  tokens = new LaunchTokens();
  hub = new EventHub();
  sockets = new RpcWebSocketServer({
    server,
    path: '/rpc',
    guard: loopbackGuard(() => port),
    tokens,
    dispatcher: new Dispatcher(handlers),
    hub,
    logger: silentLogger,
  });
});

afterEach(async () => {
  sockets.dispose();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

interface Answers {
  socket: WebSocket;
  next(): Promise<{ data: Buffer; binary: boolean }>;
}

function open(headers: Record<string, string> = {}, path = '/rpc'): Promise<Answers> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers: { origin: `http://127.0.0.1:${port}`, ...headers } });
  const queue: { data: Buffer; binary: boolean }[] = [];
  const waiting: ((answer: { data: Buffer; binary: boolean }) => void)[] = [];
  socket.on('message', (data: Buffer, binary) => {
    const answer = { data, binary };
    const taker = waiting.shift();
    if (taker) taker(answer);
    else queue.push(answer);
  });
  const next = () => {
    const queued = queue.shift();
    return queued ? Promise.resolve(queued) : new Promise<{ data: Buffer; binary: boolean }>((resolve) => waiting.push(resolve));
  };
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve({ socket, next }));
    socket.once('error', reject);
  });
}

async function greeted(): Promise<Answers> {
  const answers = await open();
  answers.socket.send(JSON.stringify({ token: tokens.issue() }));
  await answers.next();
  return answers;
}

const closeCode = (socket: WebSocket) => new Promise<number>((resolve) => socket.once('close', resolve));
const json = async (answers: Answers) => JSON.parse(String((await answers.next()).data));

describe('the WebSocket', () => {
  it('answers requests after a token, and the session reconnects', async () => {
    const first = await open();
    first.socket.send(JSON.stringify({ token: tokens.issue() }));
    const { ready, session } = await json(first);
    expect(ready).toBe(true);
    first.socket.send(JSON.stringify({ id: 7, method: 'presets.list', parameters: {} }));
    expect(await json(first)).toEqual({ id: 7, result: [] });
    const second = await open();
    second.socket.send(JSON.stringify({ session }));
    expect(await json(second)).toEqual({ ready: true, session });
  });

  it.each([{ token: 'wrong' }, { session: 'wrong' }, {}, 'nonsense', { id: 1, method: 'presets.list', parameters: {} }])(
    'closes with 4401 on the greeting %j',
    async (greeting) => {
      const { socket } = await open();
      socket.send(JSON.stringify(greeting));
      expect(await closeCode(socket)).toBe(4401);
    },
  );

  it('takes a token only once', async () => {
    const token = tokens.issue();
    const first = await open();
    first.socket.send(JSON.stringify({ token }));
    await first.next();
    const second = await open();
    second.socket.send(JSON.stringify({ token }));
    expect(await closeCode(second.socket)).toBe(4401);
  });

  it.each([
    ['another site', { origin: 'http://evil.example' }],
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['the null origin', { origin: 'null' }],
    ['a rebound host', { host: 'evil.example' }],
    ['https', { origin: 'https://127.0.0.1' }],
  ])('refuses %s with 403 before any message', async (_, headers) => {
    await expect(open(headers)).rejects.toThrow('403');
  });

  it('refuses other paths', async () => {
    await expect(open({}, '/other')).rejects.toThrow('404');
  });

  it('carries error codes, hides bugs, and survives garbage', async () => {
    const answers = await greeted();
    answers.socket.send(JSON.stringify({ id: 1, method: 'chats.get', parameters: { id: 'x' } }));
    expect(await json(answers)).toMatchObject({ id: 1, error: { code: 'chat.not-found', message: 'There is no such chat.' } });
    answers.socket.send(JSON.stringify({ id: 2, method: 'app.info', parameters: {} }));
    expect(await json(answers)).toMatchObject({ id: 2, error: { code: 'internal' } });
    answers.socket.send('{');
    expect(await json(answers)).toMatchObject({ id: null, error: { code: 'request.invalid' } });
    answers.socket.send(JSON.stringify({ id: 3, method: 'presets.list', parameters: {} }));
    expect(await json(answers)).toEqual({ id: 3, result: [] });
  });

  it('sends events, those with data as one binary message', async () => {
    const answers = await greeted();
    hub.publish('chats.removed', { id: 'c' });
    expect(await json(answers)).toEqual({ event: 'chats.removed', payload: { id: 'c' } });
    hub.publish('experts.frame', { modelId: 'm', chatId: null, messageId: null, layerCount: 1, expertCount: 2, tokens: 1, data: new Uint8Array([1, 2, 3]) });
    const { data, binary } = await answers.next();
    expect(binary).toBe(true);
    const length = data.readUInt32LE(0);
    expect(JSON.parse(data.toString('utf8', 4, 4 + length))).toMatchObject({ event: 'experts.frame', payload: { modelId: 'm', tokens: 1 } });
    expect([...data.subarray(4 + length)]).toEqual([1, 2, 3]);
  });
});
