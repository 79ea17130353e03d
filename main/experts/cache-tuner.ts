// Chooses, for models whose experts are partly on disk, cache policy and slots per layer by replaying the model's own latest routing.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CacheChoice, CacheModes } from '../contract/placement.ts';
import type { Engine, RoutesFrame } from '../engine/engine.ts';
import { type Logger, silentLogger } from '../engine/log.ts';
import type { LoadedModel } from '../engine/protocol.ts';
import { RoutingHistory } from './routing-history.ts';
import type { TraceHeader } from './trace-header.ts';

/** Of one model, in memory and on disk. */
const HISTORY_BYTES = 2 * 1024 * 1024;
/** With less routing there is nothing to choose by. */
const LEAST_TOKENS = 256;
/** New tokens after which a choice is made anew. */
const CHOOSE_EVERY = 1024;

interface Tuned {
  loaded: LoadedModel;
  modes: CacheModes;
  history: Promise<RoutingHistory>;
  /** generations under way */
  running: number;
  /** tokens recorded since the last choice */
  fresh: number;
  /** the slots are others than those that were chosen for, or nobody chose yet */
  due: boolean;
  choosing: AbortController | null;
  /** resolves when `choosing` has ended; never rejects */
  chosen: Promise<void>;
  choice: CacheChoice | null;
}

export interface CacheTunerDependencies {
  engine: Engine;
  /** where histories are kept */
  folder: string;
  logger?: Logger;
}

/** Hears one generation. */
export interface RoutingListener {
  onRoutes(frame: RoutesFrame): void;
  /** null: it failed */
  finish(promptTokens: number | null): void;
}

export class CacheTuner {
  readonly #engine: Engine;
  readonly #folder: string;
  readonly #logger: Logger;
  readonly #models = new Map<string, Tuned>();

  constructor({ engine, folder, logger = silentLogger }: CacheTunerDependencies) {
    this.#engine = engine;
    this.#folder = folder;
    this.#logger = logger;
  }

  /** Whether routes of the model's generations are wanted. */
  listensTo({ options, telemetry }: LoadedModel): boolean {
    return telemetry && (options.expertRamBytes ?? 0) > 0;
  }

  /** The model was loaded: what was recorded in its earlier lives decides at once. */
  loaded(modelId: string, loaded: LoadedModel): void {
    if (this.#models.get(modelId)?.loaded.model === loaded.model || !this.listensTo(loaded)) return;
    const { expertPolicy = 'auto', slotAllocation = 'auto' } = loaded.options;
    const history = RoutingHistory.open(this.#pathOf(modelId), headerOf(loaded), HISTORY_BYTES);
    const modes = { policy: expertPolicy, slotAllocation };
    this.#models.set(modelId, { loaded, modes, history, running: 0, fresh: 0, due: true, choosing: null, chosen: Promise.resolve(), choice: null });
    void this.#chooseIfIdle(modelId);
  }

  unloaded(modelId: string): void {
    this.#models.get(modelId)?.choosing?.abort();
    this.#models.delete(modelId);
  }

  /** What is shown; null: the model is not tuned. */
  stateOf(modelId: string): { modes: CacheModes; choice: CacheChoice | null } | null {
    const tuned = this.#models.get(modelId);
    return tuned === undefined ? null : { modes: tuned.modes, choice: tuned.choice };
  }

  /** Saves what was recorded of the model and says where; null: it is too little to go by, or a generation is under way. */
  async recording(modelId: string): Promise<string | null> {
    const tuned = this.#models.get(modelId);
    const history = await tuned?.history;
    if (tuned === undefined || history === undefined || tuned.running > 0 || history.tokens < LEAST_TOKENS) return null;
    const path = this.#pathOf(modelId);
    await history.save(path);
    return path;
  }

  /** The user's wish; `auto` chooses as soon as the model is idle, and so does a change of `slots` (RAM) under it. */
  configured(modelId: string, modes: Partial<CacheModes>): void {
    const tuned = this.#models.get(modelId);
    if (tuned === undefined) return;
    tuned.choosing?.abort();
    tuned.modes = { ...tuned.modes, ...modes };
    tuned.choice = null;
    tuned.due = true;
    void this.#chooseIfIdle(modelId);
  }

  listen(modelId: string, loaded: LoadedModel): RoutingListener | null {
    this.loaded(modelId, loaded);
    const tuned = this.#models.get(modelId);
    if (tuned === undefined) return null;
    tuned.running += 1;
    tuned.choosing?.abort(); // the reply comes first
    const frames: RoutesFrame[] = [];
    const most = HISTORY_BYTES / 4; // bytes of expert numbers: more than a history keeps of one generation
    let bytes = 0;
    return {
      onRoutes: (frame) => {
        if (bytes > most) return;
        frames.push(frame);
        bytes += frame.experts.byteLength;
      },
      finish: (promptTokens) => void this.#finish(modelId, tuned, frames, promptTokens),
    };
  }

  /** Stops choosing for good; before the engine ends. */
  async dispose(): Promise<void> {
    const choosing = [...this.#models.values()].map(({ chosen }) => chosen);
    for (const modelId of [...this.#models.keys()]) this.unloaded(modelId);
    await Promise.all(choosing);
  }

  #pathOf(modelId: string): string {
    return join(this.#folder, `${createHash('sha256').update(modelId).digest('hex').slice(0, 32)}.moetrace`);
  }

  async #finish(modelId: string, tuned: Tuned, frames: RoutesFrame[], promptTokens: number | null): Promise<void> {
    const history = await tuned.history;
    if (promptTokens !== null && frames.length > 0) {
      history.add(frames, promptTokens);
      tuned.fresh += frames.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    }
    tuned.running -= 1;
    await this.#chooseIfIdle(modelId);
  }

  async #chooseIfIdle(modelId: string): Promise<void> {
    const tuned = this.#models.get(modelId);
    if (tuned === undefined) return;
    const history = await tuned.history;
    const { policy, slotAllocation } = tuned.modes;
    const wanted = (policy === 'auto' || slotAllocation === 'auto' || slotAllocation === 'marginal') && (tuned.due || tuned.fresh >= CHOOSE_EVERY);
    if (!wanted || tuned.running > 0 || tuned.choosing !== null || history.tokens < LEAST_TOKENS) return;
    const choosing = new AbortController();
    tuned.choosing = choosing;
    tuned.chosen = this.#choose(modelId, tuned, history, choosing.signal).catch((error: unknown) => {
      if (!choosing.signal.aborted)
        this.#logger.warn(`the expert cache of ${modelId} was not tuned: ${error instanceof Error ? error.message : String(error)}`);
    });
    await tuned.chosen;
    tuned.choosing = null;
    if (choosing.signal.aborted) await this.#chooseIfIdle(modelId); // what aborted it may have asked for another
  }

  async #choose(modelId: string, tuned: Tuned, history: RoutingHistory, signal: AbortSignal): Promise<void> {
    const { loaded, modes } = tuned;
    const { model } = loaded;
    const path = this.#pathOf(modelId);
    await history.save(path);
    const { store } = await this.#engine.call('experts.status', { model }, { signal });
    if (store?.storage !== 'slots') {
      tuned.due = false; // a ring leaves nothing to choose
      tuned.fresh = 0;
      return;
    }
    const totalSlots = store.layers.reduce((sum, { slots }) => sum + slots, 0);
    const asked = { path, totalSlots, promptBatch: loaded.options.batch, policy: modes.policy, slotAllocation: modes.slotAllocation };
    const chosen = await this.#engine.call('experts.choose', asked, { signal });
    signal.throwIfAborted();
    const change = {
      ...(chosen.policy === store.policy ? {} : { policy: chosen.policy }),
      ...(chosen.slots.every((slots, layer) => slots === store.layers[layer]?.slots) ? {} : { slots: chosen.slots }),
    };
    if (Object.keys(change).length > 0) await this.#engine.call('experts.configure', { model, ...change });
    const { policy, slotAllocation, tokens, hitRate, uniformHitRate, policies } = chosen;
    tuned.choice = { policy, slotAllocation, tokens, hitRate, uniformHitRate, policies };
    tuned.due = false;
    tuned.fresh = 0;
  }
}

function headerOf({ inspection }: LoadedModel): TraceHeader {
  const { name, architecture, moeLayers, expertCount, expertUsedCount } = inspection;
  return { model: name, architecture, moeLayers, expertCount, expertUsedCount };
}
