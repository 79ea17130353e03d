// How surprised a model is: the mean loss of the tokens that it predicts, and e to that. What is evaluated is what is used: llama.cpp's model, with the base's own kernels.
import { MoebiusError } from '../../contract/errors.ts';
import type { Perplexity } from '../../contract/training-runs.ts';
import type { Engine } from '../../engine/engine.ts';

/** Tokens in a row, and which of them count, ascending; the first never does: nothing comes before it. */
export interface Scored {
  tokens: readonly number[];
  targets: readonly number[];
}

export interface Evaluation {
  engine: Engine;
  /** handle of a loaded model whose context holds every sequence */
  model: number;
  /** handles of its adapters that are on */
  adapters?: number[] | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number) => void) | undefined;
}

/** `onProgress` hears how many sequences are done. Throws dataset.no-good-row when nothing counts, decode.failed where the model gives no number. */
export async function perplexity(
  { engine, model, adapters = [], signal, onProgress }: Evaluation,
  sequences: Iterable<Scored> | AsyncIterable<Scored>,
): Promise<Perplexity> {
  const began = performance.now();
  let [loss, targets, done] = [0, 0, 0];
  for await (const { tokens, targets: wanted } of sequences) {
    if (wanted.length > 0) {
      const { logprobs = [] } = await engine.call(
        'model.logits',
        { model, tokens: [...tokens], logprobs: true, adapters: adapters.map((adapter) => ({ adapter })) },
        { signal },
      );
      for (const target of wanted) loss -= numberAt(logprobs, target);
      targets += wanted.length;
    }
    onProgress?.(++done);
  }
  if (targets === 0) throw new MoebiusError('dataset.no-good-row', 'Nothing was predicted: there is no token that counts and has another before it.');
  return { loss: loss / targets, perplexity: Math.exp(loss / targets), targets, seconds: (performance.now() - began) / 1000 };
}

function numberAt(logprobs: readonly (number | null)[], target: number): number {
  const logprob = logprobs[target - 1];
  if (typeof logprob === 'number') return logprob;
  throw new MoebiusError('decode.failed', `The model gave no number for token ${target}. The file or a device may be broken.`, { details: { target } });
}

/** Of a smaller window no token counts. */
export const LEAST_WINDOW = 3;

/**
 * A text as llama.cpp's llama-perplexity takes it: windows of `context` tokens that don't overlap, what is left at the end unused; of each the second half counts, which has
 * at least half a window before it. Models that begin a text with a token of its own (`begin`) have it in place of each window's first.
 */
export function* textWindows(tokens: readonly number[], context: number, begin: number | null): Generator<Scored> {
  if (context < LEAST_WINDOW) throw new RangeError(`windows of ${context} tokens`);
  const first = context >> 1;
  for (let at = 0; at + context <= tokens.length; at += context) {
    const window = tokens.slice(at, at + context);
    if (begin !== null) window[0] = begin;
    yield { tokens: window, targets: window.map((_, index) => index).slice(first + 1) };
  }
}
