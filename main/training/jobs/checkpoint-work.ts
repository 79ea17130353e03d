// What is done with a checkpoint of a run: files made of it, questions asked, perplexity before and after. Each has an engine of its own, so that the run goes on whatever happens.
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  type CheckpointExport,
  MoebiusError,
  Perplexity,
  type RunCheckpoint,
  type SampleSettings,
  type TrainingRun,
  TrainingSample,
} from '../../contract/index.ts';
import type { WithEngine } from '../../engine/own-engine.ts';
import type { LoadedModel } from '../../engine/protocol.ts';
import { evaluateExamples, evaluationLoad, examplePart } from '../evaluate/evaluate.ts';
import { withCheckpointModel } from '../run/checkpoint-model.ts';
import { type CheckpointFile, Checkpoints } from '../run/checkpoints.ts';
import type { Histories } from '../run/histories.ts';
import { readLines, runFiles } from '../run/run-folder.ts';
import { ASKED_LOAD, answerTo, questionInput, Sampler } from '../run/sampler.ts';
import { KEEP } from '../run/train.ts';
import { KeptMerge } from './kept-merge.ts';

/** of asking a checkpoint that has to be merged first */
const MERGING_SHARE = 0.8;

export interface WorkHooks {
  signal: AbortSignal;
  onProgress(fraction: number): void;
}

/** perplexities that were computed, by step; the base's is that of `base` */
const Evaluations = z.object({ base: Perplexity.nullable(), steps: z.record(z.string(), Perplexity) });
type Evaluations = z.infer<typeof Evaluations>;

export class CheckpointWork {
  readonly #withEngine: WithEngine;
  readonly #histories: Histories;
  readonly #merge = new KeptMerge();

  constructor(withEngine: WithEngine, histories: Histories) {
    this.#withEngine = withEngine;
    this.#histories = histories;
  }

  /** The newest first. */
  async list({ folder, plan }: TrainingRun): Promise<RunCheckpoint[]> {
    const history = await this.#histories.of(folder);
    const samples = await samplesOf(folder);
    const found = await new Checkpoints(folder, plan.keep ?? KEEP).list();
    const described = await Promise.all(found.map(async (file) => ({ file, status: await stat(file.path).catch(() => null) })));
    return described.flatMap(({ file: { step, path }, status }) =>
      status === null // pruned meanwhile
        ? []
        : [
            {
              step,
              path,
              bytes: status.size,
              savedAt: status.mtimeMs,
              validationLoss: history.validationAt(step),
              samples: samples.filter((sample) => sample.step === step),
            },
          ],
    );
  }

  /** Throws as train.export does. */
  async export(
    run: TrainingRun,
    { step, format, path, type, baseName, pairsOnly }: Omit<CheckpointExport, 'id'>,
    { signal, onProgress }: WorkHooks,
  ): Promise<{ path: string; bytes: number }> {
    const checkpoint = (await this.#find(run, step)).path;
    const how = { format, ...(type !== undefined && { type }), ...(baseName !== undefined && { baseName }), ...(pairsOnly !== undefined && { pairsOnly }) };
    await this.#withEngine((engine) =>
      engine.call('train.export', { checkpoint, path, ...how }, { signal, onProgress: ({ fraction }) => onProgress(fraction) }),
    );
    return { path, bytes: await bytesAt(path) };
  }

  /** The adapter of a step as a file of the run, made at the first call. */
  async adapter(run: TrainingRun, step: number, hooks: WorkHooks): Promise<{ path: string; bytes: number }> {
    const { adapters } = runFiles(run.folder);
    const path = join(adapters, `step-${String(step).padStart(8, '0')}.gguf`);
    if (existsSync(path)) return { path, bytes: await bytesAt(path) };
    await mkdir(adapters, { recursive: true });
    return this.export(run, { step, format: 'adapter', path }, hooks);
  }

  /** The answers, the run's own questions' without others. Throws what kept a question from being asked. */
  async sample(
    run: TrainingRun,
    step: number,
    { prompts, maxTokens }: Pick<SampleSettings, 'prompts' | 'maxTokens'>,
    { signal, onProgress }: WorkHooks,
  ): Promise<TrainingSample[]> {
    const checkpoint = await this.#find(run, step);
    const settings = { ...run.plan.samples, ...(prompts && { prompts }), ...(maxTokens !== undefined && { maxTokens }) };
    const samples: TrainingSample[] = [];
    let merged = 0; // of the progress
    const onMerging = (fraction: number) => {
      merged = MERGING_SHARE;
      onProgress(merged * fraction);
    };
    await new Sampler({ withEngine: this.#withEngine, model: run.modelPath, folder: run.folder, settings, onMerging }).ask(checkpoint, signal, (sample) => {
      samples.push(sample);
      onProgress(merged + ((1 - merged) * samples.length) / (settings.prompts?.length ?? samples.length + 1));
    });
    signal.throwIfAborted();
    const problem = samples.find((sample) => sample.problem !== null)?.problem;
    if (problem) throw new MoebiusError(problem.code, problem.message, { details: problem.details ?? {} });
    return samples;
  }

  /** One question, the answer as it comes. A merged model is kept for the next one, until `release`. Throws as withCheckpointModel and answerTo do. */
  async ask(
    run: TrainingRun,
    step: number,
    { question, maxTokens }: { question: string; maxTokens?: number | undefined },
    { signal, onProgress, onText }: WorkHooks & { onText(text: string): void },
  ): Promise<{ text: string; tokensPerSecond: number }> {
    const checkpoint = await this.#find(run, step);
    const merged = await this.#merge.pathFor(run, checkpoint);
    const { scratch } = runFiles(run.folder);
    const what = { checkpoint: checkpoint.path, model: run.modelPath, scratch, merged, options: ASKED_LOAD, signal, onMerging: onProgress };
    return this.#withEngine((engine) =>
      withCheckpointModel(engine, what, (answering) => answerTo(engine, answering, questionInput(answering.loaded, question), { maxTokens, signal, onText })),
    );
  }

  /** Its merged model is not needed any more. */
  release(id: string, step: number): Promise<void> {
    return this.#merge.release(id, step);
  }

  /** Nothing is kept behind it. Idempotent. */
  dispose(): Promise<void> {
    return this.#merge.clear();
  }

  /** On the run's validation part. Throws dataset.no-good-row if it has none. */
  async evaluate(run: TrainingRun, step: number, { signal, onProgress }: WorkHooks): Promise<{ base: Perplexity; tuned: Perplexity }> {
    const checkpoint = await this.#find(run, step);
    const { data, scratch } = runFiles(run.folder);
    const { examples, longest } = await examplePart(data, 'validation');
    if (examples === 0)
      throw new MoebiusError('dataset.no-good-row', 'This run has no validation part to evaluate on. Make one with a share of the data for validation.');
    const part = { folder: data, part: 'validation' as const, examples };
    const options = evaluationLoad(longest);
    const known = await readEvaluations(run.folder);
    const half = (from: number) => ({ signal, onProgress: (fraction: number) => onProgress(from + fraction / 2) });
    const kept = known.steps[step];
    if (known.base && kept) return { base: known.base, tuned: kept };
    let { base } = known;
    const tuned = await this.#withEngine((engine) => {
      const ofBase = async (loaded: LoadedModel) => {
        base = await evaluateExamples(engine, loaded, part, half(0));
      };
      const model = { checkpoint: checkpoint.path, model: run.modelPath, scratch, options, signal, ...(base === null && { ofBase }) };
      return withCheckpointModel(engine, model, ({ loaded, adapters }) => evaluateExamples(engine, loaded, part, { ...half(0.5), adapters }));
    });
    if (base === null) throw new Error('a checkpoint was evaluated before its base');
    await writeEvaluations(run.folder, { base, steps: { ...known.steps, [step]: tuned } });
    return { base, tuned };
  }

  async #find({ id, folder, plan }: TrainingRun, step: number): Promise<CheckpointFile> {
    const all = await new Checkpoints(folder, plan.keep ?? KEEP).list();
    const found = all.find((each) => each.step === step);
    if (found) return found;
    const there = all.map((each) => each.step).join(', ') || 'none';
    throw new MoebiusError('training.not-found', `The run has no checkpoint of step ${step}; it has ${there}.`, { details: { id, step } });
  }
}

/** Newest answers last; those of steps that were done twice are there once. */
async function samplesOf(folder: string): Promise<TrainingSample[]> {
  const byQuestion = new Map<string, TrainingSample>();
  for (const line of await readLines(runFiles(folder).samples)) {
    const sample = TrainingSample.safeParse(line);
    if (sample.success) byQuestion.set(`${sample.data.step} ${sample.data.index}`, sample.data);
  }
  return [...byQuestion.values()];
}

async function readEvaluations(folder: string): Promise<Evaluations> {
  const [value] = await readLines(runFiles(folder).evaluations);
  const parsed = Evaluations.safeParse(value);
  return parsed.success ? parsed.data : { base: null, steps: {} };
}

async function writeEvaluations(folder: string, evaluations: Evaluations): Promise<void> {
  const { evaluations: path } = runFiles(folder);
  await writeFile(`${path}.new`, `${JSON.stringify(evaluations)}\n`);
  await rename(`${path}.new`, path);
}

async function bytesAt(path: string): Promise<number> {
  const status = await stat(path);
  if (!status.isDirectory()) return status.size;
  const sizes = await Promise.all((await readdir(path)).map((name) => bytesAt(join(path, name))));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}
