// Fans events out to every connected UI.
import type { EventName, EventPayload, Publish } from '../contract/index.ts';

export type EventListener = <E extends EventName>(event: E, payload: EventPayload<E>) => void;

export class EventHub {
  readonly #listeners = new Set<EventListener>();

  readonly publish: Publish = (event, payload) => {
    for (const listener of this.#listeners) listener(event, payload);
  };

  /** returns the unsubscribe function */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
