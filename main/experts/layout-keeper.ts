// Makes layout files by itself: when a model that does not fit into RAM has been used for a while, the engine is idle, and the disk has room to spare.
import { type ErrorBody, type Handlers, type LayoutState, MoebiusError, type Publish, type Settings, toErrorBody } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import { type Logger, silentLogger } from '../engine/log.ts';
import type { ExpertStore, LoadedModel } from '../engine/protocol.ts';
import type { Database } from '../storage/database.ts';
import type { CacheTuner } from './cache-tuner.ts';
import { DeclinedLayouts } from './declined-layouts.ts';
import { LayoutJob } from './layout-job.ts';
import { bytesOf, deleteLayout, freeBytesOf, isOwnPlace, layoutPathOf, removeOrphan } from './layout-place.ts';

export interface LayoutKeeperTuning {
  /** without a generation before anything is begun */
  idleMilliseconds: number;
  /** that stay free on the disk: a tenth of the file, and at least this */
  spareBytes: number;
}

const defaultTuning: LayoutKeeperTuning = { idleMilliseconds: 30_000, spareBytes: 5e9 };
/** An engine that ends so often while it writes is not asked again in this life of the model. */
const MOST_ENGINE_LOSSES = 2;
/** each matrix of an expert (three at most) is padded to a page */
const MOST_PADDING = 3 * 4096;
const HEADER_BYTES = 1 << 20;

export interface LayoutKeeperDependencies {
  engine: Engine;
  database: Database;
  tuner: Pick<CacheTuner, 'recording'>;
  settings: () => Pick<Settings, 'expertLayouts' | 'modelFolders' | 'downloadFolder'>;
  publish: Publish;
  tuning?: Partial<LayoutKeeperTuning>;
  logger?: Logger;
}

/** A loaded model with an expert cache. */
interface Kept {
  loaded: LoadedModel;
  fresh: boolean;
  offered: boolean;
  /** it failed in a way that another try would not change */
  failed: boolean;
  engineLosses: number;
  problem: ErrorBody | null;
}

type Methods = 'layouts.status' | 'layouts.write' | 'layouts.decline' | 'layouts.delete';

export class LayoutKeeper {
  readonly handlers: Handlers<Methods>;
  readonly #parts: LayoutKeeperDependencies;
  readonly #tuning: LayoutKeeperTuning;
  readonly #declined: DeclinedLayouts;
  readonly #models = new Map<string, Kept>();
  #running = 0;
  #idle: NodeJS.Timeout | undefined;
  #job: LayoutJob | null = null;
  #disposed = false;

  constructor(parts: LayoutKeeperDependencies) {
    this.#parts = parts;
    this.#tuning = { ...defaultTuning, ...parts.tuning };
    this.#declined = new DeclinedLayouts(parts.database);
    this.handlers = {
      'layouts.status': ({ modelId }) => this.#stateOf(modelId),
      'layouts.write': ({ modelId }) => this.#writeNow(modelId),
      'layouts.decline': async ({ modelId }) => {
        await this.#decline(modelId);
        return this.#known(modelId);
      },
      'layouts.delete': async ({ modelId }) => {
        await this.#decline(modelId);
        const kept = this.#keptOf(modelId);
        await deleteLayout(kept.loaded.path);
        kept.fresh = false;
        return this.#known(modelId);
      },
    };
  }

  // --- what happens to models

  loaded(modelId: string, loaded: LoadedModel): void {
    if ((loaded.options.expertRamBytes ?? 0) === 0 || this.#models.get(modelId)?.loaded === loaded) return;
    this.#models.set(modelId, { loaded, fresh: false, offered: false, failed: false, engineLosses: 0, problem: null });
    this.#wait();
  }

  /** Copying goes on: the model's next life takes the file. */
  unloaded(modelId: string): void {
    this.#models.delete(modelId);
  }

  /** The model is no longer in the library; its files may be gone. */
  removed(modelId: string): void {
    this.#models.delete(modelId);
    if (this.#job?.modelId === modelId) this.#job.stop();
    void this.#declined.set(modelId, false);
  }

  // --- what happens in the engine

  began(): void {
    this.#running += 1;
    clearTimeout(this.#idle);
  }

  ended(): void {
    this.#running -= 1;
    this.#wait();
  }

  /** Ends what is being written, of which nothing is left; before the engine ends. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    clearTimeout(this.#idle);
    this.#job?.stop();
    await this.#job?.done;
  }

  // --- by itself

  #wait(): void {
    clearTimeout(this.#idle);
    if (this.#running > 0 || this.#disposed) return;
    this.#idle = setTimeout(() => void this.#look(), this.#tuning.idleMilliseconds).unref();
  }

  async #look(): Promise<void> {
    for (const [modelId, kept] of this.#models) {
      await this.#consider(modelId, kept).catch((error: unknown) => this.#warn(modelId, error));
    }
  }

  async #consider(modelId: string, kept: Kept): Promise<void> {
    const { expertLayouts, modelFolders, downloadFolder } = this.#parts.settings();
    const wanted = expertLayouts !== 'off' && kept.loaded.options.expertLayout !== 'off' && !kept.failed && !kept.fresh;
    if (!wanted || (await this.#declined.has(modelId))) return;
    const trace = await this.#parts.tuner.recording(modelId);
    const store = trace === null ? null : await this.#storeOf(kept);
    if (trace === null || !store || store.layoutFile !== null || !isPartial(store)) return;
    if (!(await isOwnPlace(kept.loaded.path, [...modelFolders, downloadFolder]))) return;
    const problem = await this.#roomProblem(kept, store);
    const isNews = kept.problem?.code !== problem?.code || (expertLayouts === 'ask' && !kept.offered);
    kept.problem = problem;
    kept.offered = expertLayouts === 'ask' && problem === null;
    if (this.#running > 0 || this.#disposed || this.#models.get(modelId) !== kept) return; // meanwhile
    if (problem === null && expertLayouts === 'auto') this.#begin(modelId, kept, trace);
    else if (isNews) await this.#tell(modelId);
  }

  async #roomProblem({ loaded }: Kept, store: ExpertStore): Promise<ErrorBody | null> {
    const path = layoutPathOf(loaded.path);
    const bytes = mostBytesOf(store);
    const need = bytes + Math.max(bytes / 10, this.#tuning.spareBytes);
    const have = await freeBytesOf(path);
    if (have === null || have >= need) return null;
    const message = `${path} takes ${bytes} bytes, and ${have} are free on that disk, of which some are to stay free. It is written when ${Math.ceil(need)} are.`;
    return { code: 'disk.full', message, details: { need, have, path } };
  }

  // --- because it was asked for

  async #writeNow(modelId: string): Promise<LayoutState> {
    const kept = this.#keptOf(modelId);
    await this.#declined.set(modelId, false);
    const trace = await this.#parts.tuner.recording(modelId);
    if (!this.#begin(modelId, kept, trace)) throw new MoebiusError('model.busy', 'A layout file is being written already. Wait for its end, or stop it.');
    return this.#known(modelId);
  }

  async #decline(modelId: string): Promise<void> {
    const kept = this.#keptOf(modelId);
    kept.offered = false;
    await this.#declined.set(modelId, true);
    if (this.#job?.modelId !== modelId) return;
    const { done } = this.#job;
    this.#job.stop();
    await done;
  }

  // --- writing

  /** false: another one is being written, and this one comes when the engine is next idle */
  #begin(modelId: string, kept: Kept, trace: string | null): boolean {
    if (this.#job !== null || this.#disposed) return false;
    Object.assign(kept, { offered: false, problem: null, failed: false });
    const { path } = kept.loaded;
    const job = new LayoutJob({ engine: this.#parts.engine, modelId, path, trace, onChange: () => void this.#tell(modelId) });
    this.#job = job;
    void job.done.then(async (error) => {
      await removeOrphan(path).catch((thrown: unknown) => this.#warn(modelId, thrown));
      this.#job = null;
      if (error === null) kept.fresh = (await bytesOf(layoutPathOf(path))) !== null;
      else if (!job.stopped) this.#note(modelId, kept, error);
      await this.#tell(modelId);
      this.#wait();
    });
    void this.#tell(modelId);
    return true;
  }

  #note(modelId: string, kept: Kept, error: unknown): void {
    this.#warn(modelId, error);
    kept.problem = toErrorBody(error);
    if (kept.problem.code.startsWith('engine.')) kept.engineLosses += 1;
    kept.failed = !kept.problem.code.startsWith('engine.') || kept.engineLosses >= MOST_ENGINE_LOSSES;
  }

  // --- what is shown

  async #tell(modelId: string): Promise<void> {
    const state = await this.#stateOf(modelId).catch(() => null); // the engine may be gone: the next one tells
    if (state !== null && !this.#disposed) this.#parts.publish('layouts.changed', state);
  }

  async #known(modelId: string): Promise<LayoutState> {
    const state = await this.#stateOf(modelId);
    if (state === null) throw notLoaded(modelId);
    this.#parts.publish('layouts.changed', state);
    return state;
  }

  async #stateOf(modelId: string): Promise<LayoutState | null> {
    const kept = this.#models.get(modelId);
    const store = kept === undefined ? null : await this.#storeOf(kept);
    if (kept === undefined || !store) return null;
    const path = layoutPathOf(kept.loaded.path);
    const [bytes, freeBytes, declined] = await Promise.all([bytesOf(path), freeBytesOf(path), this.#declined.has(modelId)]);
    const used = store.layoutFile !== null;
    const { fresh, offered, problem } = kept;
    const writing = this.#job?.modelId === modelId ? this.#job.progress : null;
    return { modelId, path, bytes, used, fresh, needBytes: mostBytesOf(store), freeBytes, writing, declined, offered, problem };
  }

  async #storeOf({ loaded }: Kept): Promise<ExpertStore | null> {
    return (await this.#parts.engine.call('experts.status', { model: loaded.model })).store;
  }

  #keptOf(modelId: string): Kept {
    const kept = this.#models.get(modelId);
    if (kept === undefined) throw notLoaded(modelId);
    return kept;
  }

  #warn(modelId: string, error: unknown): void {
    const { logger = silentLogger } = this.#parts;
    if (!this.#disposed) logger.warn(`the layout file of ${modelId} was not written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const notLoaded = (id: string) =>
  new MoebiusError('model.not-loaded', `The model "${id}" is not loaded with experts on disk. Load it with less RAM for experts than they take.`, {
    details: { id },
  });

const expertsOf = ({ layers }: ExpertStore): number => layers.reduce((sum, { tiers }) => sum + tiers.length, 0);

/** Some experts have no room in RAM; of a ring, always. */
function isPartial(store: ExpertStore): boolean {
  return store.storage === 'ring' || store.layers.reduce((sum, { slots }) => sum + slots, 0) < expertsOf(store);
}

const mostBytesOf = (store: ExpertStore): number => store.diskBytes + expertsOf(store) * MOST_PADDING + HEADER_BYTES;
