// Where the experts of loaded models are: asked of the engine, and changed there.
import { type ExpertPlacement, type Handlers, MoebiusError, type Parameters, type Placement } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { LoadedModels } from '../generation/generation.ts';
import type { CacheTuner } from './cache-tuner.ts';

export interface PlacementDependencies {
  engine: Engine;
  models: LoadedModels;
  tuner: CacheTuner;
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
        const status = model === null ? null : await engine.call('experts.status', { model });
        return status?.store ? this.#placementOf(modelId, { store: status.store, devices: status.devices }) : null;
      },
      'placement.configure': (change) => this.#configure(change),
    };
  }

  /** What the engine can do itself it does at once; what needs the model's routing is the tuner's, when the model is idle. */
  async #configure({ modelId, policy, slotAllocation, ...change }: Parameters<'placement.configure'>): Promise<Placement> {
    const { engine, tuner } = this.#dependencies;
    const model = await this.#handleOf(modelId);
    if (model === null) throw new MoebiusError('model.not-loaded', `The model "${modelId}" is not loaded. Load it first.`, { details: { id: modelId } });
    const simple = {
      ...(policy === undefined || policy === 'auto' ? {} : { policy }),
      ...(slotAllocation === 'uniform' || slotAllocation === 'shallow' ? { slotAllocation } : {}),
    };
    const placement = await engine.call('experts.configure', { model, ...change, ...simple });
    if (change.ramBytes !== undefined || policy !== undefined || slotAllocation !== undefined) {
      tuner.configured(modelId, { ...(policy === undefined ? {} : { policy }), ...(slotAllocation === undefined ? {} : { slotAllocation }) });
    }
    return this.#placementOf(modelId, placement);
  }

  #placementOf(modelId: string, placement: ExpertPlacement): Placement {
    const state = this.#dependencies.tuner.stateOf(modelId);
    return { ...placement, modes: state?.modes ?? { policy: 'auto', slotAllocation: 'auto' }, choice: state?.choice ?? null };
  }

  /** The engine's handle; null when the model is not loaded (it is not loaded for this). */
  async #handleOf(modelId: string): Promise<number | null> {
    const { models } = this.#dependencies;
    return models.loadedIds().includes(modelId) ? (await models.acquire(modelId)).loaded.model : null;
  }
}
