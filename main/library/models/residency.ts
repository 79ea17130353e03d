// Which models are in the engine, and how they get there and back after the engine's end.
import { type ErrorBody, type LoadedModel, type LoadOptions, type ModelState, MoebiusError, toErrorBody } from '../../contract/index.ts';
import type { Engine } from '../../engine/engine.ts';
import { abortable, abortReason, cancelledError, errorCode, SerialQueue } from '../concurrency.ts';
import { endedProcess, engineReady, isEngineLoss, isSameProcess } from './engine-ready.ts';
import { sameLoadOptions } from './load-options.ts';

/** What to load: `call` is what the caller asked for, `effective` what that came to with all defaults. */
export interface LoadRequest {
  path: string;
  call: LoadOptions;
  effective: LoadOptions;
}

export interface ResidencyEvents {
  /** the state of a model changed */
  changed(id: string): void;
  /** load progress moved */
  progress(id: string): void;
  /** the list that `wanted` gives changed */
  wantedChanged(): void;
}

/** What was asked of a model last; the only thing that decides what becomes of it. */
type Intent =
  | { kind: 'load'; request: LoadRequest; controller: AbortController; promise: Promise<LoadedModel>; recovery: boolean }
  | { kind: 'unload'; promise: Promise<void> };

interface Resident {
  loaded: LoadedModel;
  processId: number | null;
}

interface Slot {
  readonly id: string;
  intent: Intent | null;
  resident: Resident | null;
  progress: { fraction: number; stage: string } | null;
  error: ErrorBody | null;
  /** could not be loaded because the engine had given up: loaded when it is ready again */
  stranded: LoadRequest | null;
  /** rises with every load that a caller asked for */
  order: number;
  readonly queue: SerialQueue;
}

/** A load that the engine's end interrupted is tried this often before the model counts as the culprit. */
const maximumRecoveryAttempts = 2;

/** Operations on one model run one after another; models do not wait for each other, except when they come back after an engine's end. */
export class Residency {
  readonly #engine: Engine;
  readonly #events: ResidencyEvents;
  readonly #slots = new Map<string, Slot>();
  readonly #unsubscribe: () => void;
  #lastRecovery: Promise<void> = Promise.resolve();
  #orders = 0;
  #disposed = false;

  constructor(engine: Engine, events: ResidencyEvents) {
    this.#engine = engine;
    this.#events = events;
    this.#unsubscribe = engine.onStatus(() => this.#followEngine());
  }

  state(id: string): ModelState {
    const slot = this.#slots.get(id);
    if (slot?.progress) return { state: 'loading', ...slot.progress };
    if (slot?.resident) {
      const { inspection: _, ...loaded } = slot.resident.loaded;
      return { state: 'loaded', loaded };
    }
    if (slot?.error) return { state: 'failed', error: slot.error };
    return { state: 'unloaded' };
  }

  /** a load is under way and was not given up */
  isLoading(id: string): boolean {
    const slot = this.#slots.get(id);
    return slot?.intent?.kind === 'load' && slot.progress !== null;
  }

  /** Loaded models and those on their way back after an engine's end, the most recently loaded first. */
  wanted(): { id: string; request: LoadRequest }[] {
    const wanted = [...this.#slots.values()].filter((slot) => slot.intent?.kind === 'load' && (slot.resident || slot.intent.recovery));
    return wanted
      .sort((left, right) => right.order - left.order)
      .flatMap(({ id, intent }) => (intent?.kind === 'load' ? [{ id, request: intent.request }] : []));
  }

  /**
   * The model with these options: the load that is under way, the model as it is loaded, or a new load.
   * `join`: any load and any loaded model will do, whatever its options.
   */
  load(id: string, request: LoadRequest, join: boolean): Promise<LoadedModel> {
    const slot = this.#slot(id);
    const { intent } = slot;
    if (intent?.kind === 'load' && !intent.controller.signal.aborted && (join || sameLoadOptions(intent.request.effective, request.effective)))
      return intent.promise;
    if (intent?.kind === 'load') intent.controller.abort(cancelledError('Another load of this model with other options took over.'));
    this.#orders += 1;
    slot.order = this.#orders;
    return this.#begin(slot, join && slot.stranded ? slot.stranded : request, false);
  }

  /** Resolves when the model is out of the engine; a load that is under way is cancelled. */
  unload(id: string): Promise<void> {
    const slot = this.#slots.get(id);
    if (!slot?.intent) {
      if (slot?.error) this.#settle(slot, { error: null, stranded: null });
      return Promise.resolve();
    }
    if (slot.intent.kind === 'unload') return slot.intent.promise;
    slot.intent.controller.abort(cancelledError('The model was unloaded.'));
    const promise = slot.queue.run(() => this.#performUnload(slot, intent));
    const intent: Intent = { kind: 'unload', promise };
    slot.intent = intent;
    slot.stranded = null;
    this.#events.wantedChanged();
    return promise;
  }

  /** Gives up a load that is under way. A loaded model stays. */
  async cancelLoad(id: string): Promise<void> {
    if (this.#slots.get(id)?.progress) await this.unload(id);
  }

  dispose(): void {
    this.#disposed = true;
    this.#unsubscribe();
    for (const { intent } of this.#slots.values()) {
      if (intent?.kind === 'load') intent.controller.abort(cancelledError('Moebius is closing.'));
    }
  }

  #slot(id: string): Slot {
    let slot = this.#slots.get(id);
    if (!slot) {
      slot = { id, intent: null, resident: null, progress: null, error: null, stranded: null, order: 0, queue: new SerialQueue() };
      this.#slots.set(id, slot);
    }
    return slot;
  }

  #begin(slot: Slot, request: LoadRequest, recovery: boolean): Promise<LoadedModel> {
    const controller = new AbortController();
    const { signal } = controller;
    const promise = slot.queue.run(() =>
      recovery ? this.#inTurn(signal, () => this.#performLoad(slot, request, signal, true)) : this.#performLoad(slot, request, signal, false),
    );
    const intent: Intent = { kind: 'load', request, controller, promise, recovery };
    slot.intent = intent;
    this.#settle(slot, { progress: { fraction: 0, stage: recovery ? 'restart' : 'waiting' }, error: null, stranded: null });
    promise.then(
      () => this.#loadDone(slot, intent),
      (error: unknown) => this.#loadFailed(slot, intent, error),
    );
    return promise;
  }

  /** Models that come back do so one after another: if one of them ends the engine again, it is known which. */
  async #inTurn<T>(signal: AbortSignal, perform: () => Promise<T>): Promise<T> {
    const before = this.#lastRecovery;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#lastRecovery = before.then(() => promise);
    try {
      await abortable(before, signal);
      return await perform();
    } finally {
      resolve();
    }
  }

  async #performLoad(slot: Slot, request: LoadRequest, signal: AbortSignal, recovery: boolean): Promise<LoadedModel> {
    if (signal.aborted) throw abortReason(signal);
    await this.#release(slot);
    for (let attempt = 1, after: { processId: number | null } | undefined; ; attempt += 1) {
      const processId = await engineReady(this.#engine, signal, after);
      try {
        const loaded = await this.#callLoad(slot, request, signal, processId);
        slot.resident = { loaded, processId };
        return loaded;
      } catch (error) {
        if (signal.aborted) throw abortReason(signal);
        if (!recovery || !isEngineLoss(error) || attempt >= maximumRecoveryAttempts) throw error;
        after = endedProcess(error, processId);
      }
    }
  }

  async #callLoad(slot: Slot, request: LoadRequest, signal: AbortSignal, processId: number | null): Promise<LoadedModel> {
    const onProgress = ({ fraction, stage }: { fraction: number; stage: string }) => {
      if (signal.aborted) return;
      slot.progress = { fraction, stage };
      this.#events.progress(slot.id);
    };
    const loaded = await this.#engine.call('model.load', { path: request.path, options: request.effective }, { signal, onProgress });
    if (!isSameProcess(this.#engine, processId))
      throw new MoebiusError('engine.died', 'The engine ended while it was loading the model. Load the model again.');
    if (!signal.aborted) return loaded;
    await this.#unloadHandle({ loaded, processId }); // the cancellation came too late for the engine
    throw abortReason(signal);
  }

  #loadDone(slot: Slot, intent: Intent): void {
    if (slot.intent !== intent) return;
    this.#settle(slot, { progress: null, error: null });
    this.#events.wantedChanged();
    this.#followEngine(); // it may have ended between the answer and now
  }

  #loadFailed(slot: Slot, intent: Intent, error: unknown): void {
    if (slot.intent !== intent || intent.kind !== 'load') return;
    slot.intent = null;
    const cancelled = errorCode(error) === 'cancelled';
    // With engine.died this load itself may be what ended the engine: not again unless somebody asks.
    const stranded = !cancelled && this.#engine.status.state === 'stopped' && errorCode(error) !== 'engine.died' && !this.#disposed;
    this.#settle(slot, { progress: null, error: cancelled ? null : toErrorBody(error), stranded: stranded ? intent.request : null });
    if (!this.#disposed) this.#events.wantedChanged();
  }

  async #performUnload(slot: Slot, intent: Intent): Promise<void> {
    try {
      await this.#release(slot);
    } finally {
      if (slot.intent === intent) {
        slot.intent = null;
        this.#settle(slot, { progress: null, error: null });
      }
    }
  }

  async #release(slot: Slot): Promise<void> {
    const { resident } = slot;
    if (!resident) return;
    slot.resident = null;
    await this.#unloadHandle(resident);
  }

  async #unloadHandle({ loaded, processId }: Resident): Promise<void> {
    if (!isSameProcess(this.#engine, processId)) return; // gone with its process
    try {
      if ((await engineReady(this.#engine)) !== processId) return;
      await this.#engine.call('model.unload', { model: loaded.model });
    } catch (error) {
      if (errorCode(error) === 'model.not-loaded' || errorCode(error) === 'engine.died' || !isSameProcess(this.#engine, processId)) return;
      throw error;
    }
  }

  /** Models of a process that is gone are loaded again; the latest one first. */
  #followEngine(): void {
    const slots = [...this.#slots.values()].sort((left, right) => right.order - left.order);
    for (const slot of slots) {
      if (slot.stranded && this.#engine.status.state === 'ready') this.#begin(slot, slot.stranded, true).catch(() => undefined);
      if (!slot.resident || isSameProcess(this.#engine, slot.resident.processId)) continue;
      slot.resident = null;
      // With progress a load with other options is under way, or an unload: they see for themselves that the model is gone.
      if (slot.intent?.kind === 'load' && !slot.progress) this.#begin(slot, slot.intent.request, true).catch(() => undefined);
    }
  }

  #settle(slot: Slot, change: Partial<Pick<Slot, 'progress' | 'error' | 'stranded'>>): void {
    Object.assign(slot, change);
    this.#events.changed(slot.id);
  }
}
