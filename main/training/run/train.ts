// A run from its job to its end: data encoded, steps led, checkpoints asked, what happens written down. The command line and the queue both come here.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Preparation, RunEvent } from '../../contract/training-runs.ts';
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
import { Sampler } from './sampler.ts';
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
  const data = await encode(training, files.data, prepare);
  const { folder, model, validateEvery = 0, saveEvery = 0, saveFirst = false, keep = KEEP, samples } = job;
  const checkpoints = new Checkpoints(folder, keep);
  const sampler = samples && new Sampler({ withEngine, model, folder, settings: samples });
  const settings = await settingsOf(job, files.data);
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

/** What the engine is told, of a job whose data is encoded. Throws as objectiveFor. */
async function settingsOf(job: Training['job'], data: string) {
  const recipe = recipeOf(job);
  return { ...recipe, objective: await objectiveFor(data, recipe), model: job.model, data };
}

/** Memory and time of the job; its data is encoded, and nothing is trained. Throws as encodedDataset, objectiveFor and train.estimate do. */
export async function estimate(training: Omit<Training, 'onEvent'>): Promise<TrainEstimate> {
  const { job, withEngine, signal } = training;
  const { data } = runFiles(job.folder);
  await encode(training, data);
  const settings = await settingsOf(job, data);
  return withEngine((engine) => engine.call('train.estimate', { settings }, { signal }), wholeFactors);
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

/** The base is loaded into llama.cpp for its chat template and tokens alone, and gone before training begins. */
async function encode(
  { job, withEngine, signal }: Omit<Training, 'onEvent'>,
  folder: string,
  prepare?: (preparation: Preparation) => void,
): Promise<EncodedManifest> {
  const [begun] = await new Checkpoints(job.folder, KEEP).list();
  const scratch = join(runFiles(job.folder).scratch, 'data');
  return withEngine((engine) =>
    withTokeniser(engine, job.model, (loaded) =>
      encodeFor(engine, loaded, job.data, {
        folder,
        signal,
        onProgress: ({ fraction }) => prepare?.({ what: 'data', fraction }),
        ...(begun && { begun: { scratch } }),
      }),
    ),
  );
}
