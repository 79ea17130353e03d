// Where the experts of loaded models are: asked of the engine, and changed there.
import { type Handlers, MoebiusError } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { LoadedModels } from '../generation/generation.ts';

export interface PlacementDependencies {
  engine: Engine;
  models: LoadedModels;
}

type Methods = 'placement.status' | 'placement.configure';

export class PlacementService {
  readonly handlers: Handlers<Methods>;
  readonly #dependencies: PlacementDependencies;

  constructor(dependencies: PlacementDependencies) {
    this.#dependencies = dependencies;
    const { engine } = dependencies;
    this.handlers = {
      'placement.status': async ({ modelId }) => {
        const model = await this.#handleOf(modelId);
        const { store, devices } = model === null ? { store: null, devices: null } : await engine.call('experts.status', { model });
        return store && { store, devices };
      },
      'placement.configure': async ({ modelId, ...change }) => {
        const model = await this.#handleOf(modelId);
        if (model === null) throw new MoebiusError('model.not-loaded', `The model "${modelId}" is not loaded. Load it first.`, { details: { id: modelId } });
        return engine.call('experts.configure', { model, ...change });
      },
    };
  }

  /** The engine's handle; null when the model is not loaded (it is not loaded for this). */
  async #handleOf(modelId: string): Promise<number | null> {
    const { models } = this.#dependencies;
    return models.loadedIds().includes(modelId) ? (await models.acquire(modelId)).loaded.model : null;
  }
}
