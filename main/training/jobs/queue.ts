// The queue: one run trains at a time, the others wait, and what the user stopped stays stopped.
import { rm } from 'node:fs/promises';
import { MoebiusError, type Publish, type RunEvent, type TrainingRun, toErrorBody } from '../../contract/index.ts';
import { type Logger, silentLogger } from '../../engine/log.ts';
import { cancelledError, SerialQueue, Throttle } from '../../library/concurrency.ts';
import { RunClock } from './run-clock.ts';
import type { RunStore } from './run-store.ts';

const CHANGES_EVERY_MS = 250;

/** Trains a run to its end; goes on where it stopped. Aborted, it saves and rejects with the signal's reason. */
export type Trainer = (run: TrainingRun, hooks: { signal: AbortSignal; onEvent(event: RunEvent): void }) => Promise<void>;

export interface TrainingQueueParts {
  store: RunStore;
  train: Trainer;
  publish: Publish;
  logger?: Logger;
}

/** What a run becomes that is told to end. */
type Ending = 'paused' | 'stopped' | 'interrupted';

interface Entry {
  run: TrainingRun;
  clock: RunClock;
  work: { controller: AbortController; ending: Ending; ended: Promise<void> } | null;
}

export class TrainingQueue {
  readonly #parts: TrainingQueueParts;
  readonly #entries = new Map<string, Entry>();
  readonly #changes: Throttle<Entry>;
  /** one change of the queue after another */
  readonly #serial = new SerialQueue();
  #disposed = false;

  constructor(parts: TrainingQueueParts) {
    this.#parts = parts;
    this.#changes = new Throttle(CHANGES_EVERY_MS, ({ run }) => this.#parts.publish('training.changed', structuredClone(run)));
  }

  /** What was at work when the app ended is paused now; what was queued begins. */
  async start(): Promise<void> {
    for (const run of await this.#parts.store.all()) {
      const entry: Entry = { run, clock: new RunClock(), work: null };
      this.#entries.set(entry.run.id, entry);
      if (['preparing', 'running', 'pausing'].includes(entry.run.state)) await this.#change(entry, { state: 'paused', interrupted: true });
    }
    this.#startNext();
  }

  /** The one at work saves what it has and is paused. Idempotent. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.all([...this.#entries.values()].map((entry) => this.#end(entry, 'interrupted')));
    this.#changes.dispose();
  }

  /** The newest first. */
  list(): TrainingRun[] {
    return [...this.#entries.values()].map(({ run }) => structuredClone(run)).reverse();
  }

  /** Throws training.not-found. */
  get(id: string): TrainingRun {
    return structuredClone(this.#entry(id).run);
  }

  async add(run: TrainingRun): Promise<TrainingRun> {
    const entry: Entry = { run: { ...run, state: 'queued', queuePlace: this.#lastPlace() + 1 }, clock: new RunClock(), work: null };
    await this.#parts.store.save(entry.run);
    this.#entries.set(run.id, entry);
    this.#changes.now(entry);
    this.#startNext();
    return this.get(run.id);
  }

  /** Resolves when it is at rest. A run that has ended stays as it is. */
  pause(id: string): Promise<TrainingRun> {
    return this.#rest(id, 'paused');
  }

  /** As pause, and out of the list of what is to go on. */
  stop(id: string): Promise<TrainingRun> {
    return this.#rest(id, 'stopped');
  }

  async resume(id: string): Promise<TrainingRun> {
    const entry = this.#entry(id);
    if (['paused', 'stopped', 'failed'].includes(entry.run.state)) {
      await this.#change(entry, { state: 'queued', queuePlace: this.#lastPlace() + 1, interrupted: false, error: null, endedAt: null });
      this.#startNext();
    }
    return this.get(id);
  }

  async rename(id: string, name: string): Promise<TrainingRun> {
    await this.#change(this.#entry(id), { name });
    return this.get(id);
  }

  /** Throws request.invalid unless `ids` are the queued runs. */
  reorder(ids: string[]): Promise<TrainingRun[]> {
    return this.#serial.run(async () => {
      const queued = this.#queued();
      const isSame = ids.length === queued.length && new Set(ids).size === ids.length && queued.every(({ run }) => ids.includes(run.id));
      if (!isSame) {
        const message = `The queue has ${queued.length} runs; the order names ${ids.length}, not all of them or others. Read the list again: one may have begun.`;
        throw new MoebiusError('request.invalid', message, { details: { queued: queued.map(({ run }) => run.id) } });
      }
      for (const [queuePlace, id] of ids.entries()) await this.#change(this.#entry(id), { queuePlace });
      return this.list();
    });
  }

  /** Ends it if it is at work, and deletes its folder. */
  async delete(id: string): Promise<void> {
    const entry = this.#entry(id);
    await this.#rest(id, 'stopped');
    if (!this.#entries.delete(id)) return; // by somebody else meanwhile
    this.#changes.forget(entry);
    await this.#parts.store.delete(id);
    await rm(entry.run.folder, { recursive: true, force: true });
    this.#parts.publish('training.removed', { id });
  }

  async #rest(id: string, ending: 'paused' | 'stopped'): Promise<TrainingRun> {
    const entry = this.#entry(id);
    await this.#end(entry, ending);
    const { state } = entry.run;
    if (state === 'queued' || (ending === 'stopped' && (state === 'paused' || state === 'failed'))) {
      await this.#change(entry, { state: ending, queuePlace: null, interrupted: false, endedAt: ending === 'stopped' ? Date.now() : null });
    }
    return structuredClone(entry.run);
  }

  /** Resolves at once when it is not at work. */
  async #end(entry: Entry, ending: Ending): Promise<void> {
    const { work, run } = entry;
    if (work === null) return;
    work.ending = ending;
    if (!work.controller.signal.aborted) {
      Object.assign(run, { state: 'pausing', preparing: null } satisfies Partial<TrainingRun>);
      this.#changes.now(entry);
      work.controller.abort(cancelledError('The run was told to end.'));
    }
    await work.ended;
  }

  #startNext(): void {
    const isBusy = [...this.#entries.values()].some(({ work }) => work !== null);
    const [next] = this.#queued();
    if (this.#disposed || isBusy || next === undefined) return;
    const controller = new AbortController();
    next.work = { controller, ending: 'paused', ended: Promise.resolve() };
    next.work.ended = this.#work(next, controller.signal);
  }

  /** Never rejects: how it ended is in the run. */
  async #work(entry: Entry, signal: AbortSignal): Promise<void> {
    const { run } = entry;
    let end: Partial<TrainingRun>;
    try {
      entry.clock = new RunClock();
      await this.#change(entry, { state: 'preparing', queuePlace: null, preparing: { what: 'data', fraction: 0 }, startedAt: run.startedAt ?? Date.now() });
      signal.throwIfAborted();
      await this.#parts.train(run, { signal, onEvent: (event) => this.#onEvent(entry, event) });
      end = { state: 'done', endedAt: Date.now() };
    } catch (error) {
      end = this.#endOf(entry, error, signal);
    }
    entry.work = null;
    const progress = { ...run.progress, secondsLeft: null, tokensPerSecond: null, memoryBytes: null };
    await this.#change(entry, { ...end, preparing: null, progress }).catch((error: unknown) => {
      Object.assign(run, { state: 'failed', error: toErrorBody(error) } satisfies Partial<TrainingRun>);
      this.#changes.now(entry);
    });
    this.#startNext();
  }

  /** A run that was told to end has only failed if it could not save. */
  #endOf({ work, run }: Entry, error: unknown, signal: AbortSignal): Partial<TrainingRun> {
    const endedAt = Date.now();
    if (!signal.aborted) {
      (this.#parts.logger ?? silentLogger).warn(`training run ${run.id} failed: ${error instanceof Error ? error.message : String(error)}`);
      return { state: 'failed', error: toErrorBody(error), endedAt };
    }
    const told = error === signal.reason || (error instanceof MoebiusError && error.code === 'cancelled');
    const problem = told ? null : toErrorBody(error);
    if (work?.ending === 'stopped') return { state: 'stopped', error: problem, endedAt };
    return { state: 'paused', interrupted: work?.ending === 'interrupted', error: problem };
  }

  #onEvent(entry: Entry, event: RunEvent): void {
    const { run, clock } = entry;
    const { progress } = run;
    if (event.event === 'preparing') {
      if (run.state === 'preparing') run.preparing = { what: event.what, fraction: event.fraction };
    } else if (event.event === 'opened') {
      const { parameters, tensors, optimiserBytes, examples, validates, step } = event;
      run.trained = { parameters, tensors: tensors.length, optimiserBytes, examples, validates };
      progress.step = step;
      if (run.state === 'preparing') Object.assign(run, { state: 'running', preparing: null } satisfies Partial<TrainingRun>);
      this.#save(entry);
    } else if (event.event === 'step') {
      clock.add(event);
      const { step, loss, learningRate, memoryBytes } = event;
      Object.assign(progress, {
        step,
        loss,
        learningRate,
        memoryBytes,
        tokensPerSecond: clock.tokensPerSecond,
        secondsLeft: clock.secondsFor(run.steps - step),
      });
      run.unmoved = withUnmoved(run.unmoved, event.unmoved);
    } else if (event.event === 'validation') progress.validationLoss = event.loss;
    else if (event.event === 'saved') this.#save(entry);
    this.#changes.soon(entry);
    this.#parts.publish('training.event', { id: run.id, event });
  }

  /** Figures that nobody waits for. */
  #save(entry: Entry): void {
    this.#parts.store
      .save(entry.run)
      .catch((error: Error) => (this.#parts.logger ?? silentLogger).warn(`training run ${entry.run.id} was not noted: ${error.message}`));
  }

  async #change(entry: Entry, change: Partial<TrainingRun>): Promise<void> {
    Object.assign(entry.run, change);
    this.#changes.now(entry);
    await this.#parts.store.save(entry.run);
  }

  #queued(): Entry[] {
    const queued = [...this.#entries.values()].filter(({ run }) => run.state === 'queued');
    return queued.sort((a, b) => (a.run.queuePlace ?? 0) - (b.run.queuePlace ?? 0));
  }

  #lastPlace(): number {
    return Math.max(0, ...this.#queued().map(({ run }) => run.queuePlace ?? 0));
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new MoebiusError('training.not-found', `There is no training run ${id}. It may have been deleted.`, { details: { id } });
  }
}

/** Steps that are done again behind a pause tell it again. */
function withUnmoved(known: TrainingRun['unmoved'], told: TrainingRun['unmoved']): TrainingRun['unmoved'] {
  return [...known, ...told.filter(({ name, expert }) => !known.some((each) => each.name === name && each.expert === expert))];
}
