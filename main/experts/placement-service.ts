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
        return model === null ? null : (await engine.call('experts.status', { model })).store;
      },
      'placement.configure': async ({ modelId, ...change }) => {
        const model = await this.#handleOf(modelId);
        if (model === null) throw new MoebiusError('model.not-loaded', `The model "${modelId}" is not loaded. Load it first.`, { details: { id: modelId } });
        return (await engine.call('experts.configure', { model, ...change })).store;
      },
    };
  }

  /** The engine's handle; null when the model is not loaded (it is not loaded for this). */
  async #handleOf(modelId: string): Promise<number | null> {
    const { models } = this.#dependencies;
    return models.loadedIds().includes(modelId) ? (await models.acquire(modelId)).loaded.model : null;
  }
}
