// Perplexity of models on encoded examples and on texts.

import { MoebiusError } from '../../contract/errors.ts';
import type { Perplexity } from '../../contract/training-runs.ts';
import type { Engine } from '../../engine/engine.ts';
import type { LoadedModel, LoadOptions } from '../../engine/protocol.ts';
import { readCounts, readExamples } from '../data/encoded/read.ts';
import type { PartName } from '../data/split.ts';
import { LEAST_WINDOW, perplexity, type Scored, textWindows } from './perplexity.ts';

export interface EvaluationHooks {
  /** handles of the model's adapters that are on */
  adapters?: number[];
  signal?: AbortSignal;
  onProgress?(fraction: number): void;
}

/** as llama-perplexity's */
export const TEXT_CONTEXT = 512;
const LEAST_CONTEXT = 64;

/** How a model is loaded to be evaluated on sequences of so many tokens. */
export const evaluationLoad = (contextLength: number): LoadOptions => ({
  contextLength: Math.max(LEAST_CONTEXT, contextLength),
  sequences: 1,
  telemetry: false,
});

/** One part of an encoded dataset: of pairs the chosen reply. Throws file.unreadable. */
export async function examplePart(folder: string, part: PartName): Promise<{ examples: number; longest: number }> {
  return (await readCounts(folder)).parts[part];
}

/** The supervised tokens of a part; of pairs those of the chosen reply. The model's context has to hold the longest. */
export async function evaluateExamples(
  engine: Engine,
  { model }: LoadedModel,
  { folder, part, examples }: { folder: string; part: PartName; examples: number },
  { adapters, signal, onProgress }: EvaluationHooks = {},
): Promise<Perplexity> {
  return perplexity({ engine, model, adapters, signal, onProgress: (done) => onProgress?.(done / examples) }, chosenOf(folder, part));
}

async function* chosenOf(folder: string, part: PartName): AsyncGenerator<Scored> {
  for await (const [chosen] of readExamples(folder, part)) if (chosen) yield chosen;
}

/** In windows of at most `context` tokens (perplexity.ts), one if the text is shorter. Throws dataset.no-good-row of a text in which nothing can be predicted. */
export async function evaluateText(
  engine: Engine,
  { model }: LoadedModel,
  { text, context }: { text: string; context: number },
  { adapters, signal, onProgress }: EvaluationHooks = {},
): Promise<Perplexity & { tokens: number; windows: number; context: number }> {
  const { tokens } = await engine.call('model.tokenize', { model, text, addSpecial: true }, { signal });
  const empty = await engine.call('model.tokenize', { model, text: '', addSpecial: true }, { signal });
  const window = Math.min(context, tokens.length);
  if (tokens.length < LEAST_WINDOW) {
    const message = `The text has ${tokens.length} tokens. Half of a window counts, and each token needs one before it, so it takes ${LEAST_WINDOW} at least.`;
    throw new MoebiusError('dataset.no-good-row', message, { details: { tokens: tokens.length } });
  }
  const windows = [...textWindows(tokens, window, empty.tokens[0] ?? null)];
  const result = await perplexity({ engine, model, adapters, signal, onProgress: (done) => onProgress?.(done / windows.length) }, windows);
  return { ...result, tokens: tokens.length, windows: windows.length, context: window };
}
