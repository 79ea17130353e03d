// Asks checkpoints the questions of their run, so that one can read what has been learnt.
import { MoebiusError, toErrorBody } from '../../contract/errors.ts';
import type { SampleSettings, TrainingSample } from '../../contract/training-runs.ts';
import type { CallParameters, Engine } from '../../engine/engine.ts';
import type { WithEngine } from '../../engine/own-engine.ts';
import { processMemory } from '../../engine/process-memory.ts';
import type { LoadedModel, LoadOptions } from '../../engine/protocol.ts';
import type { Recipe } from '../../engine/train-protocol.ts';
import { readExamples } from '../data/encoded/read.ts';
import type { Sequence } from '../data/encoded/record.ts';
import { type AnsweringModel, withCheckpointModel } from './checkpoint-model.ts';
import type { CheckpointFile } from './checkpoints.ts';
import { runFiles } from './run-folder.ts';

const EXAMPLES = 3;
const MAX_TOKENS = 64;
/** of a text without a question: so many of its tokens are the prompt, at most half of them */
const TEXT_PROMPT_TOKENS = 32;

export interface SamplerParts {
  withEngine: WithEngine;
  /** GGUF of the base */
  model: string;
  /** of the run, with its encoded data */
  folder: string;
  settings: SampleSettings;
  /** share of a merged model that is written, where one is needed */
  onMerging?(fraction: number): void;
}

type Input = Pick<CallParameters<'generate'>, 'tokens' | 'chat' | 'prompt'>;

interface Question {
  input: Input;
  prompt: string;
  expected: string | null;
}

/** of a model that is asked one question after the other */
export const ASKED_LOAD: LoadOptions = { sequences: 1, telemetry: false };

/**
 * RAM that a run with these questions needs beside its own, at least: its checkpoints are asked in an engine of its own, which keeps experts on disk where there is no room for all. Of a model that has
 * to be merged first: what its base needs. With what an engine has by itself, which is what `engine` has. Throws as model.estimate.
 */
async function answeringBytes(engine: Engine, model: string, samples: SampleSettings | undefined): Promise<number> {
  const isAsked = samples !== undefined && (samples.prompts ? samples.prompts.length > 0 : samples.examples !== 0);
  if (!isAsked) return 0;
  const { devices, expertRoom } = await engine.call('model.estimate', { path: model, options: ASKED_LOAD });
  const [ram] = devices; // the CPU comes first
  if (ram === undefined) return 0;
  const { weights, experts, kvCache, compute } = ram;
  const itself = (await processMemory(engine.status.processId)) ?? 0;
  return itself + weights + Math.min(experts, expertRoom?.ramBytesLeast ?? experts) + kvCache + compute;
}

/** The recipe with room for answering samples. Throws as model.estimate. */
export async function withRoomForSamples(engine: Engine, model: string, recipe: Recipe, samples: SampleSettings | undefined): Promise<Recipe> {
  const bytes = await answeringBytes(engine, model, samples);
  return bytes === 0 ? recipe : { ...recipe, devices: { ...recipe.devices, reservedBytes: (recipe.devices?.reservedBytes ?? 0) + bytes } };
}

/** What a user says to the model, in its chat template if it has one. */
export function questionInput({ inspection: { chatTemplate } }: LoadedModel, question: string): Input {
  return chatTemplate === null ? { prompt: question } : { chat: { messages: [{ role: 'user', content: question }] } };
}

/** The most probable tokens. `onText` hears them as they come. Throws cancelled, and as generate does. */
export async function answerTo(
  engine: Engine,
  { loaded: { model }, adapters }: AnsweringModel,
  input: Input,
  { maxTokens = MAX_TOKENS, signal, onText }: { maxTokens?: number | undefined; signal: AbortSignal; onText?(text: string): void },
): Promise<{ text: string; tokensPerSecond: number }> {
  let answer = '';
  const onTokens = (tokens: { text: string }[]) => {
    const text = tokens.map((token) => token.text).join('');
    answer += text;
    onText?.(text);
  };
  const how = { maxTokens, sampling: { temperature: 0 }, adapters: adapters.map((adapter) => ({ adapter })) };
  const { finishReason, tokens, decodeMilliseconds } = await engine.call('generate', { model, ...input, ...how }, { signal, onTokens });
  if (finishReason === 'cancelled') throw new MoebiusError('cancelled', 'The question was given up.');
  return { text: answer, tokensPerSecond: decodeMilliseconds > 0 ? (tokens * 1000) / decodeMilliseconds : 0 };
}

export class Sampler {
  readonly #parts: SamplerParts;

  constructor(parts: SamplerParts) {
    this.#parts = parts;
  }

  /** The answers, greedy. What fails is the sample's `problem`; aborted, the rest is left out. */
  async ask({ step, path }: CheckpointFile, signal: AbortSignal, onSample: (sample: TrainingSample) => Promise<void> | void): Promise<void> {
    const { withEngine, model, folder, settings, onMerging } = this.#parts;
    let asked = 0;
    try {
      await withEngine((engine) =>
        withCheckpointModel(
          engine,
          { checkpoint: path, model, scratch: runFiles(folder).scratch, options: ASKED_LOAD, signal, ...(onMerging && { onMerging }) },
          async (answering) => {
            for (const { input, prompt, expected } of await this.#questions(engine, answering.loaded)) {
              const { text: answer } = await answerTo(engine, answering, input, { maxTokens: settings.maxTokens, signal });
              await onSample({ step, index: asked++, prompt, expected, answer, problem: null });
            }
          },
        ),
      );
    } catch (error) {
      if (signal.aborted) return;
      await onSample({ step, index: asked, prompt: '', expected: null, answer: '', problem: toErrorBody(error) });
    }
  }

  async #questions(engine: Engine, loaded: LoadedModel): Promise<Question[]> {
    const { prompts, examples = EXAMPLES } = this.#parts.settings;
    if (prompts) return prompts.map((prompt) => ({ input: questionInput(loaded, prompt), prompt, expected: null }));
    const questions: Question[] = [];
    for await (const [first] of readExamples(runFiles(this.#parts.folder).data, 'validation')) {
      if (questions.length === examples) break;
      if (first) questions.push(await questionOf(engine, loaded, first));
    }
    return questions;
  }
}

/** The last reply that is learnt is the answer, and what comes before it the question; of a text its beginning is. */
async function questionOf(engine: Engine, { model, inspection }: LoadedModel, { tokens, targets }: Sequence): Promise<Question> {
  const begin = targets.findLast((target, index) => target - 1 !== targets[index - 1]) ?? 1;
  const end = (targets.at(-1) ?? 0) + 1;
  const split = begin > 1 ? begin : Math.max(1, Math.min(TEXT_PROMPT_TOKENS, tokens.length >> 1));
  const text = async (part: readonly number[]) => (await engine.call('model.detokenize', { model, tokens: [...part] })).text;
  const last = tokens[end - 1];
  const isEnd = last !== undefined && END_TOKENS.some((name) => inspection.metadata[name] === last);
  const prompt = tokens.slice(0, split);
  return { input: { tokens: prompt }, prompt: await text(prompt), expected: await text(tokens.slice(split, isEnd ? end - 1 : end)) };
}

/** where a GGUF says which tokens end a reply */
const END_TOKENS = ['tokenizer.ggml.eos_token_id', 'tokenizer.ggml.eot_token_id'];
