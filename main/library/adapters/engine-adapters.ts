// Adapter files in the engine's memory: loaded when a request first names them, and again after the engine or the model was.
import { type LoadedAdapter, type LoadedModel, MoebiusError } from '../../contract/index.ts';
import type { Engine } from '../../engine/engine.ts';

interface Held {
  /** of the engine; a handle of another process means nothing */
  processId: number | null;
  model: number;
  loaded: Promise<LoadedAdapter>;
}

export class EngineAdapters {
  readonly #engine: Engine;
  /** by id of the adapter */
  readonly #held = new Map<string, Held>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Rejects with what the engine says of the file; a later call tries again. */
  load(id: string, path: string, model: LoadedModel): Promise<LoadedAdapter> {
    const held = this.#held.get(id);
    if (held && this.#isOf(held, model)) return held.loaded;
    const loaded = this.#engine.call('adapter.load', { model: model.model, path });
    const now: Held = { processId: this.#engine.status.processId, model: model.model, loaded };
    this.#held.set(id, now);
    loaded.catch(() => {
      if (this.#held.get(id) === now) this.#held.delete(id);
    });
    return loaded;
  }

  /** Takes it out of the engine, if it is there. Requests that have it end with it. */
  async drop(id: string): Promise<void> {
    const held = this.#held.get(id);
    this.#held.delete(id);
    if (held === undefined || held.processId !== this.#engine.status.processId) return;
    try {
      const { adapter } = await held.loaded;
      await this.#engine.call('adapter.unload', { model: held.model, adapter });
    } catch (error) {
      if (!(error instanceof MoebiusError)) throw error; // it is gone with its model or its process, or was never there
    }
  }

  #isOf(held: Held, model: LoadedModel): boolean {
    return held.processId === this.#engine.status.processId && held.model === model.model;
  }
}
