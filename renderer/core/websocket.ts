// The browser's way to the core: `moebius serve` listens on /rpc of the address that the page came from.
import type { CoreClient } from '../../main/contract/index.ts';
import { RpcClient, type Transport } from './client.ts';
import { decodeBinaryEvent, type Incoming, type RequestMessage } from './wire.ts';

/** The server closes with this when the token is wrong: trying again would not help. */
export const CLOSE_UNAUTHORISED = 4401;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5000;

/** A launch token works once; the core trades it for a session secret, with which this tab reconnects and reloads. */
export type Credential = { token: string } | { session: string };

export interface WebSocketOptions {
  url: string;
  credential: Credential;
  /** called with the secret that replaces the token */
  onSession?: (session: string) => void;
  /** the token was refused; no further attempt is made */
  onRefused?: () => void;
}

class WebSocketTransport implements Transport {
  readonly #client: RpcClient;
  readonly #options: WebSocketOptions;
  #credential: Credential;
  #socket: WebSocket | null = null;
  #ready = false;
  #retry = FIRST_RETRY_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #disposed = false;

  constructor(client: RpcClient, options: WebSocketOptions) {
    this.#client = client;
    this.#options = options;
    this.#credential = options.credential;
    this.#connect();
  }

  send(message: RequestMessage): boolean {
    if (!this.#ready || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  dispose(): void {
    this.#disposed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #connect(): void {
    const socket = new WebSocket(this.#options.url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#credential));
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code);
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      this.#client.receive(decodeBinaryEvent(data));
      return;
    }
    // See decodeBinaryEvent: the core keeps the wire format.
    const message = JSON.parse(data) as Incoming | { ready: true; session: string };
    if ('ready' in message) {
      this.#ready = true;
      this.#credential = { session: message.session };
      this.#options.onSession?.(message.session);
      this.#retry = FIRST_RETRY_MS;
      this.#client.setConnected(true);
    } else {
      this.#client.receive(message);
    }
  }

  #closed(code: number): void {
    this.#ready = false;
    if (this.#disposed) return;
    this.#client.setConnected(false);
    if (code === CLOSE_UNAUTHORISED) {
      this.#options.onRefused?.();
      return;
    }
    this.#timer = setTimeout(() => this.#connect(), this.#retry);
    this.#retry = Math.min(LAST_RETRY_MS, this.#retry * 2);
  }
}

export function connectWebSocket(options: WebSocketOptions): CoreClient {
  return new RpcClient((client) => new WebSocketTransport(client, options));
}
