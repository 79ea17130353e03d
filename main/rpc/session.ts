// One connected UI over any transport: requests in, responses and events out.
import { z } from 'zod';
import { type EventName, type EventPayload, MoebiusError, toErrorBody } from '../contract/index.ts';
import type { Logger } from '../engine/log.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { EventHub } from './event-hub.ts';

export const Request = z.strictObject({ id: z.number().int(), method: z.string().max(100), parameters: z.unknown() });

export interface Channel {
  send(message: unknown): void;
  sendEvent<E extends EventName>(event: E, payload: EventPayload<E>): void;
}

export class Session {
  readonly #dispatcher: Dispatcher;
  readonly #channel: Channel;
  readonly #logger: Logger;
  readonly #unsubscribe: () => void;
  #open = true;

  constructor(dispatcher: Dispatcher, hub: EventHub, channel: Channel, logger: Logger) {
    this.#dispatcher = dispatcher;
    this.#channel = channel;
    this.#logger = logger;
    this.#unsubscribe = hub.subscribe((event, payload) => this.#channel.sendEvent(event, payload));
  }

  /** Answers one request; a message that is no request is answered with id null. */
  async receive(message: unknown): Promise<void> {
    const request = Request.safeParse(message);
    if (!request.success) {
      this.#send({ id: null, error: toErrorBody(new MoebiusError('request.invalid', 'Not a request: expected {id, method, parameters}.')) });
      return;
    }
    const { id, method, parameters } = request.data;
    try {
      this.#send({ id, result: await this.#dispatcher.call(method, parameters) });
    } catch (error) {
      if (!(error instanceof MoebiusError)) this.#logger.error(`${method} failed unexpectedly: ${error instanceof Error ? error.stack : String(error)}`);
      this.#send({ id, error: toErrorBody(error) });
    }
  }

  dispose(): void {
    this.#open = false;
    this.#unsubscribe();
  }

  #send(message: unknown): void {
    if (this.#open) this.#channel.send(message);
  }
}
