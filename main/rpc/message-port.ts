// The contract over an Electron MessagePortMain; the port's sender was checked by the shell before it handed the port over.
import type { EventName, EventPayload } from '../contract/index.ts';
import type { Logger } from '../engine/log.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EventHub } from './event-hub.ts';
import { Session } from './session.ts';

/** The part of Electron's MessagePortMain (and of node:worker_threads' MessagePort) that is used. */
export interface PortLike {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: { data: unknown }) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  start(): void;
  close(): void;
}

/** Serves until the port closes; the returned function closes it. */
export function servePort(port: PortLike, dispatcher: Dispatcher, hub: EventHub, logger: Logger): () => void {
  const channel = {
    send: (message: unknown) => port.postMessage(message),
    sendEvent: <E extends EventName>(event: E, payload: EventPayload<E>) => port.postMessage({ event, payload }),
  };
  const session = new Session(dispatcher, hub, channel, logger);
  port.on('message', (message) => void session.receive(message.data));
  port.on('close', () => session.dispose());
  port.start();
  return () => {
    session.dispose();
    port.close();
  };
}
