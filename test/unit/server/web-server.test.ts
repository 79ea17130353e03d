import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Handlers } from '../../../main/contract/index.ts';
import { silentLogger } from '../../../main/engine/log.ts';
import { Dispatcher } from '../../../main/rpc/dispatcher.ts';
import { EventHub } from '../../../main/rpc/event-hub.ts';
import { startWebServer, type WebServer } from '../../../main/server/web-server.ts';

let root: string;
let server: WebServer;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'moebius-web-'));
  writeFileSync(join(root, 'index.html'), '<p>here</p>');
  const dispatcher = new Dispatcher({} as Handlers); // nothing is called
  server = await startWebServer({ root, port: 0, dispatcher, hub: new EventHub(), logger: silentLogger, onUrl: () => undefined });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A connection to the server on which `text` was sent and, if it is a whole request, answered. */
async function connection(text: string) {
  const socket = connect(server.port, '127.0.0.1').on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  const answered = new Promise((resolve) => socket.once('data', resolve));
  await new Promise((resolve) => socket.write(text, resolve));
  if (text.endsWith('\r\n\r\n')) await answered;
  else await fetch(`http://127.0.0.1:${server.port}/`).then((response) => response.text()); // by then the server has read it
  return { socket, closed: new Promise<void>((resolve) => socket.once('close', () => resolve())) };
}

describe('closing the web server', () => {
  it.each([
    ['nothing was ever sent on', ''],
    ['has not sent its whole request', 'GET / HTTP/1.1\r\nHost: 127'],
    ['is kept alive', 'GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: keep-alive\r\n\r\n'],
  ])('does not wait for a connection that %s', async (_, text) => {
    const { socket, closed } = await connection(text.replace('PORT', String(server.port)));
    const start = performance.now();
    await server.close();
    socket.resume(); // its end is seen by reading only
    await closed;
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
