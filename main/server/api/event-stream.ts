// Server-sent events over a raw response, with a bound on what a slow client may leave unread.
import type { ServerResponse } from 'node:http';

const LARGEST_BACKLOG = 8 * 1024 * 1024;

export class EventStream {
  readonly #response: ServerResponse;
  readonly #onOverflow: () => void;

  /** `onOverflow`: the client reads too slowly to keep the reply in memory; the connection is closed. */
  constructor(response: ServerResponse, onOverflow: () => void) {
    this.#response = response;
    this.#onOverflow = onOverflow;
  }

  /** Sends the headers; after this an error can only be told as an event. */
  open(): void {
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      connection: 'keep-alive',
      'x-accel-buffering': 'no',
    });
  }

  get opened(): boolean {
    return this.#response.headersSent;
  }

  send(data: unknown): void {
    if (this.#response.destroyed) return;
    this.#response.write(`data: ${JSON.stringify(data)}\n\n`);
    if (this.#response.writableLength <= LARGEST_BACKLOG) return;
    this.#response.destroy();
    this.#onOverflow();
  }

  end(): void {
    if (!this.#response.destroyed) this.#response.end('data: [DONE]\n\n');
  }

  /** after an error event: no [DONE], so that clients do not take the reply for complete */
  abort(): void {
    if (!this.#response.destroyed) this.#response.end();
  }
}
