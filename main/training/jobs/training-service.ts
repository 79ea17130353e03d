// Fine-tuning for the UI: looks at datasets, keeps the queue of runs, and answers for what they leave.
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import {
  type Handler,
  type Handlers,
  type ModelCard,
  MoebiusError,
  type Publish,
  type TrainingDraft,
  type TrainingRun,
  type trainingMethods,
} from '../../contract/index.ts';
import type { Logger } from '../../engine/log.ts';
import type { WithEngine } from '../../engine/own-engine.ts';
import { abortable, LatestQuestions, SerialQueue } from '../../library/concurrency.ts';
import type { Database } from '../../storage/database.ts';
import { planFile } from '../data/plan.ts';
import { surveyDataset } from '../data/survey.ts';
import { dataDefaults, surveyTokens, withTokeniser } from '../data/tokeniser.ts';
import { Histories } from '../run/histories.ts';
import { recipeOf, refuseWithoutValidation, type TrainJob } from '../run/job.ts';
import { runFiles } from '../run/run-folder.ts';
import { withRoomForSamples } from '../run/sampler.ts';
import { train, wholeFactors } from '../run/train.ts';
import { CheckpointWork, type WorkHooks } from './checkpoint-work.ts';
import { settingDifferences } from './differences.ts';
import { exampleLengths } from './estimate.ts';
import { TrainingQueue } from './queue.ts';
import { recipesFor } from './recipes.ts';
import { RunStore } from './run-store.ts';

const PROGRESS_EVERY_MS = 200;
/** of a pass, where the plan says nothing (native/train/run/run-settings.h) */
const BATCH_TOKENS = 2048;

export interface TrainingParts {
  /** absolute; a folder for each run */
  folder: string;
  database: Database;
  models: { get(id: string): ModelCard };
  /** each piece of work has an engine of its own, beside the one that chats: neither is touched by the other's end */
  withEngine: WithEngine;
  publish: Publish;
  logger?: Logger;
}

type Methods = keyof typeof trainingMethods;

export class TrainingService {
  readonly handlers: Handlers<Methods>;
  readonly #parts: TrainingParts;
  readonly #queue: TrainingQueue;
  readonly #histories = new Histories();
  readonly #checkpoints: CheckpointWork;
  readonly #questions = new LatestQuestions();
  /** one piece of work beside the run at a time: each has a model in memory */
  readonly #serial = new SerialQueue();

  constructor(parts: TrainingParts) {
    const { database, publish, withEngine, logger } = parts;
    this.#parts = parts;
    this.#checkpoints = new CheckpointWork(withEngine, this.#histories);
    this.#queue = new TrainingQueue({
      store: new RunStore(database),
      train: (run, hooks) => train({ job: jobOf(run), withEngine, ...hooks }),
      publish,
      ...(logger && { logger }),
    });
    this.handlers = { ...this.#dataHandlers(), ...this.#runHandlers(), ...this.#figureHandlers(), ...this.#checkpointHandlers() };
  }

  /** Runs that were at work when the app ended are paused; queued ones begin. */
  async start(): Promise<void> {
    await this.#queue.start();
    await Promise.all(this.#queue.list().map(({ folder }) => rm(runFiles(folder).merged, { recursive: true, force: true }))); // a killed app's
  }

  /** The run at work saves what it has. Idempotent. */
  async dispose(): Promise<void> {
    this.#questions.dispose();
    await this.#queue.dispose();
    await this.#serial.run(() => this.#checkpoints.dispose()); // what was asked beside it has ended its engine
  }

  #dataHandlers(): Handlers<'training.preview' | 'training.recipes' | 'training.estimate' | 'training.cancel'> {
    return {
      'training.preview': ({ ticket, ...what }) => this.#ask(ticket, (hooks) => this.#preview(what, hooks)),
      'training.recipes': ({ modelId, ...size }) => recipesFor(this.#inspected(modelId), size),
      'training.estimate': ({ ticket, ...what }) => this.#ask(ticket, (hooks) => this.#estimate(what, hooks)),
      'training.cancel': ({ ticket }) => {
        this.#questions.cancel(ticket);
        return {};
      },
    };
  }

  #runHandlers(): Handlers<`training.${'create' | 'list' | 'get' | 'rename' | 'pause' | 'resume' | 'stop' | 'reorder' | 'delete'}`> {
    const queue = this.#queue;
    return {
      'training.create': (draft) => this.#create(draft),
      'training.list': () => queue.list(),
      'training.get': ({ id }) => queue.get(id),
      'training.rename': ({ id, name }) => queue.rename(id, name),
      'training.pause': ({ id }) => queue.pause(id),
      'training.resume': ({ id }) => queue.resume(id),
      'training.stop': ({ id }) => queue.stop(id),
      'training.reorder': ({ ids }) => queue.reorder(ids),
      'training.delete': async ({ id }) => {
        const { folder } = queue.get(id);
        await queue.delete(id);
        this.#histories.forget(folder);
        return {};
      },
    };
  }

  #figureHandlers(): Handlers<'training.metrics' | 'training.compare'> {
    const metrics = async (id: string, points: number) => (await this.#histories.of(this.#queue.get(id).folder)).metrics(id, points);
    return {
      'training.metrics': ({ id, points }) => metrics(id, points),
      'training.compare': async ({ ids, points }) => {
        const runs = ids.map((id) => this.#queue.get(id));
        return { runs, metrics: await Promise.all(ids.map((id) => metrics(id, points))), differences: settingDifferences(runs) };
      },
    };
  }

  #checkpointHandlers(): Handlers<`training.${'checkpoints' | 'sample' | 'ask' | 'release' | 'export' | 'adapter' | 'evaluate'}`> {
    const [queue, checkpoints] = [this.#queue, this.#checkpoints];
    return {
      'training.checkpoints': ({ id }) => checkpoints.list(queue.get(id)),
      'training.sample': ({ id, step, ticket, ...what }) => this.#ask(ticket, (hooks) => checkpoints.sample(queue.get(id), step, what, hooks)),
      'training.ask': ({ id, step, ticket, ...what }) => {
        const onText = (text: string) => this.#parts.publish('training.answer', { ticket, text });
        return this.#ask(ticket, (hooks) => checkpoints.ask(queue.get(id), step, what, { ...hooks, onText }));
      },
      'training.release': async ({ id, step }) => {
        await this.#serial.run(() => checkpoints.release(id, step));
        return {};
      },
      'training.export': ({ id, ticket, ...how }) => this.#ask(ticket, (hooks) => checkpoints.export(queue.get(id), how, hooks)),
      'training.adapter': ({ id, step, ticket }) => this.#ask(ticket, (hooks) => checkpoints.adapter(queue.get(id), step, hooks)),
      'training.evaluate': ({ id, step, ticket }) => this.#ask(ticket, (hooks) => checkpoints.evaluate(queue.get(id), step, hooks)),
    };
  }

  /** Work that its asker hears the progress of and can give up; one at a time. */
  #ask<T>(ticket: string, work: (hooks: WorkHooks) => Promise<T>): Promise<T> {
    let told = Number.NEGATIVE_INFINITY;
    const onProgress = (fraction: number) => {
      if (performance.now() - told < PROGRESS_EVERY_MS && fraction < 1) return;
      told = performance.now();
      this.#parts.publish('training.progress', { ticket, fraction: Math.min(1, fraction) });
    };
    return this.#questions.ask(ticket, (signal) =>
      abortable(
        this.#serial.run(async () => {
          signal.throwIfAborted();
          const result = await work({ signal, onProgress });
          onProgress(1);
          return result;
        }),
        signal,
      ),
    );
  }

  #preview({ data, modelId, previews }: Omit<Parameters<Handler<'training.preview'>>[0], 'ticket'>, { signal, onProgress }: WorkHooks) {
    const { path } = this.#usable(modelId);
    const { loss, ...rest } = dataDefaults(data);
    return this.#parts.withEngine((engine) =>
      withTokeniser(engine, path, (loaded) =>
        surveyDataset({ ...rest, previews, tokens: surveyTokens(engine, loaded, loss), signal, onProgress: ({ fraction }) => onProgress(fraction) }),
      ),
    );
  }

  #estimate({ modelId, plan, report, time }: Omit<Parameters<Handler<'training.estimate'>>[0], 'ticket'>, { signal }: WorkHooks) {
    const { path } = this.#usable(modelId);
    const sizes = exampleLengths(report, plan, plan.batchTokens ?? BATCH_TOKENS);
    if (sizes === null) throw new MoebiusError('dataset.no-good-row', 'There is no example to train on, so nothing can be estimated.');
    const objective = plan.objective ?? (report.good === report.kinds.preference ? 'dpo' : 'next-token');
    return this.#parts.withEngine(async (engine) => {
      const recipe = await withRoomForSamples(engine, path, recipeOf(plan), plan.samples);
      return engine.call('train.estimate', { settings: { ...recipe, objective, model: path }, ...sizes, time }, { signal });
    }, wholeFactors);
  }

  async #create({ name, modelId, plan }: TrainingDraft): Promise<TrainingRun> {
    const card = this.#usable(modelId);
    const { data } = plan;
    refuseWithoutValidation(plan);
    for (const file of data.files) await planFile(file, data);
    const id = randomUUID();
    const run: TrainingRun = {
      id,
      name: name ?? defaultName(data.files, card.name),
      modelId,
      modelPath: card.path,
      folder: join(this.#parts.folder, id),
      // what does not fit into a batch cannot be learnt, and is cut unless told otherwise
      plan: { ...plan, data: { maxTokens: plan.batchTokens ?? BATCH_TOKENS, ...data } },
      state: 'queued',
      queuePlace: null,
      interrupted: false,
      preparing: null,
      progress: { step: 0, loss: null, validationLoss: null, learningRate: null, tokensPerSecond: null, secondsLeft: null, memoryBytes: null },
      steps: plan.schedule.steps,
      trained: null,
      unmoved: [],
      error: null,
      createdAt: Date.now(),
      startedAt: null,
      endedAt: null,
    };
    await writeJob(run);
    try {
      return await this.#queue.add(run);
    } catch (error) {
      await rm(run.folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Throws model.not-found, or why the model cannot be used. */
  #usable(modelId: string): ModelCard {
    const card = this.#parts.models.get(modelId);
    if (card.problem) throw new MoebiusError(card.problem.code, card.problem.message, { details: card.problem.details ?? {} });
    return card;
  }

  #inspected(modelId: string) {
    const { inspection } = this.#usable(modelId);
    if (inspection) return inspection;
    throw new MoebiusError('engine.starting', `The model "${modelId}" has not been looked at yet; try again in a moment.`);
  }
}

function jobOf({ plan, folder, modelPath }: TrainingRun): TrainJob & { model: string } {
  return { ...plan, folder, model: modelPath };
}

/** The run as `moebius train --config` takes it, from where it lies. Throws file.unwritable. */
async function writeJob(run: TrainingRun): Promise<void> {
  const { job } = runFiles(run.folder);
  try {
    await mkdir(run.folder, { recursive: true });
    await writeFile(job, `${JSON.stringify({ ...jobOf(run), folder: '.' } satisfies TrainJob, null, 2)}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MoebiusError('file.unwritable', `${job} cannot be written: ${reason}.`, { details: { path: job }, cause: error });
  }
}

function defaultName(files: string[], model: string): string {
  const [first = ''] = files;
  const rest = files.length > 1 ? ` and ${files.length - 1} more` : '';
  return `${basename(first, extname(first))}${rest}, ${model}`;
}
