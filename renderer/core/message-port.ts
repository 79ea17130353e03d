// Electron's way to the core: the preload script hands over a MessagePort whose other end is in the main process.
import type { CoreClient } from '../../main/contract/index.ts';
import { RpcClient, type Transport } from './client.ts';
import type { Incoming, RequestMessage } from './wire.ts';

/** The data of the window message that carries the port (in `event.ports[0]`). */
export const PORT_MESSAGE = 'moebius-port';

/** What electron/preload exposes as `window.moebius`. */
export interface MoebiusBridge {
  /** asks for a port; it comes as a `message` event of window with data `'moebius-port'`. A second call replaces the first port. */
  connect(): void;
  /** a native folder dialog; null when it was cancelled */
  chooseFolder?(): Promise<string | null>;
  /** a native dialog for a GGUF file */
  chooseFile?(): Promise<string | null>;
  /** the path of a dropped file */
  pathOfFile?(file: File): string;
}

declare global {
  interface Window {
    moebius?: MoebiusBridge;
  }
}

class MessagePortTransport implements Transport {
  #port: MessagePort | null = null;
  readonly #onMessage: (event: MessageEvent<unknown>) => void;

  constructor(client: RpcClient, bridge: MoebiusBridge) {
    this.#onMessage = (event) => {
      const port = event.ports[0];
      if (event.source !== window || event.data !== PORT_MESSAGE || !port) return;
      this.#port?.close();
      this.#port = port;
      // The other end is our own main process; see wire.ts.
      port.onmessage = (message: MessageEvent<Incoming>) => client.receive(message.data);
      client.setConnected(true);
    };
    window.addEventListener('message', this.#onMessage);
    bridge.connect();
  }

  send(message: RequestMessage): boolean {
    this.#port?.postMessage(message);
    return this.#port !== null;
  }

  dispose(): void {
    window.removeEventListener('message', this.#onMessage);
    this.#port?.close();
    this.#port = null;
  }
}

export function connectMessagePort(bridge: MoebiusBridge): CoreClient {
  return new RpcClient((client) => new MessagePortTransport(client, bridge));
}
