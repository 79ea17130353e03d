// A run from its job to its end: data encoded, steps led, checkpoints asked, what happens written down. The command line and the queue both come here.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataUse } from '../../contract/datasets.ts';
import type { Preparation, RunEvent } from '../../contract/training-runs.ts';
import type { Engine } from '../../engine/engine.ts';
import type { WithEngine } from '../../engine/own-engine.ts';
import type { TrainEstimate } from '../../engine/train-estimate-protocol.ts';
import { dataUse, type EncodedManifest } from '../data/encoded/format.ts';
import { encodeFor, withTokeniser } from '../data/tokeniser.ts';
import { Checkpoints } from './checkpoints.ts';
import { conduct } from './conductor.ts';
import { Histories } from './histories.ts';
import { recipeOf, refuseWithoutValidation, type TrainJob } from './job.ts';
import { objectiveFor } from './objective.ts';
import { JsonLines, runFiles } from './run-folder.ts';
import { lockRun } from './run-lock.ts';
import { Sampler, withRoomForSamples } from './sampler.ts';
import { sparingly } from './sparingly.ts';

/** Checkpoints that are kept where the job says nothing. */
export const KEEP = 3;

export interface Training {
  /** with its paths absolute */
  job: TrainJob & { model: string };
  withEngine: WithEngine;
  /** ends the run with a checkpoint; its reason is thrown */
  signal: AbortSignal;
  onEvent(event: RunEvent): void;
}

/** Goes on where the folder's newest checkpoint is. Throws as refuseWithoutValidation, lockRun, encodedDataset, objectiveFor and conduct do. */
export async function train(training: Training): Promise<void> {
  refuseWithoutValidation(training.job);
  const lock = await lockRun(training.job.folder);
  try {
    await trainAlone(training);
  } finally {
    lock.release();
  }
}

async function trainAlone(training: Training): Promise<void> {
  const { job, withEngine, signal, onEvent } = training;
  const files = runFiles(job.folder);
  await rm(files.scratch, { recursive: true, force: true });
  const prepare = sparingly((preparation: Preparation) => onEvent({ event: 'preparing', ...preparation }));
  const { data, settings } = await prepared(training, prepare);
  const { folder, model, validateEvery = 0, saveEvery = 0, saveFirst = false, keep = KEEP, samples } = job;
  const checkpoints = new Checkpoints(folder, keep);
  const sampler = samples && new Sampler({ withEngine, model, folder, settings: samples });
  const history = await new Histories().of(folder);
  const isValidated = (step: number) => history.hasValidation(step);
  const onChoosing = (fraction: number) => prepare({ what: 'experts', fraction });
  const log = await RunLog.open(folder, onEvent);
  try {
    await log.tell({ event: 'data', ...dataUse(data) });
    await withEngine(async (engine) => {
      for await (const event of conduct({ engine, settings, checkpoints, validateEvery, saveEvery, saveFirst, isValidated, onChoosing, signal })) {
        await log.tell(event);
        if (event.event === 'saved' && !signal.aborted) await sampler?.ask(event, signal, (sample) => log.tell({ event: 'sample', ...sample }));
      }
    }, wholeFactors);
  } finally {
    await log.close();
  }
}

/** llama.cpp's Vulkan backend rounds the factors of matrix products to 16 bits where it may: gradients would be 1e-3 off. */
export const wholeFactors = { GGML_VK_DISABLE_F16: '1' };

/** Memory and time of the job, and what became of its rows; its data is encoded, and nothing is trained. Throws as encodedDataset, objectiveFor and train.estimate do. */
export async function estimate(training: Omit<Training, 'onEvent'>): Promise<TrainEstimate & { data: DataUse }> {
  const { withEngine, signal } = training;
  const { data, settings } = await prepared(training);
  const found = await withEngine((engine) => engine.call('train.estimate', { settings }, { signal }), wholeFactors);
  return { ...found, data: dataUse(data) };
}

/** Writes what happens to the run's folder before it is told. */
class RunLog {
  readonly #metrics: JsonLines;
  readonly #samples: JsonLines;
  readonly #onEvent: (event: RunEvent) => void;

  private constructor(metrics: JsonLines, samples: JsonLines, onEvent: (event: RunEvent) => void) {
    this.#metrics = metrics;
    this.#samples = samples;
    this.#onEvent = onEvent;
  }

  static async open(folder: string, onEvent: (event: RunEvent) => void): Promise<RunLog> {
    const { metrics, samples } = runFiles(folder);
    return new RunLog(await JsonLines.append(folder, metrics), await JsonLines.append(folder, samples), onEvent);
  }

  async tell(event: RunEvent): Promise<void> {
    await (event.event === 'sample' ? this.#samples : this.#metrics).write(event);
    this.#onEvent(event);
  }

  async close(): Promise<void> {
    try {
      await this.#metrics.close();
    } finally {
      await this.#samples.close();
    }
  }
}

/** Encoded data and what the engine is told; in an engine that is gone before training begins. Throws as encodedDataset, objectiveFor and model.estimate do. */
async function prepared(training: Omit<Training, 'onEvent'>, prepare?: (preparation: Preparation) => void) {
  const { job, withEngine } = training;
  const { data: folder } = runFiles(job.folder);
  return withEngine(async (engine) => {
    const data = await encode(engine, training, folder, prepare);
    const recipe = await withRoomForSamples(engine, job.model, recipeOf(job), job.samples);
    return { data, settings: { ...recipe, objective: await objectiveFor(folder, recipe), model: job.model, data: folder } };
  });
}

/** The base is loaded into llama.cpp for its chat template and tokens alone. */
async function encode(
  engine: Engine,
  { job, signal }: Omit<Training, 'onEvent'>,
  folder: string,
  prepare?: (preparation: Preparation) => void,
): Promise<EncodedManifest> {
  const [begun] = await new Checkpoints(job.folder, KEEP).list();
  const scratch = join(runFiles(job.folder).scratch, 'data');
  return withTokeniser(engine, job.model, (loaded) =>
    encodeFor(engine, loaded, job.data, {
      folder,
      signal,
      onProgress: ({ fraction }) => prepare?.({ what: 'data', fraction }),
      ...(begun && { begun: { scratch } }),
    }),
  );
}
