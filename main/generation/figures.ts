// A generation's figures as messages and trials have them.
import type { LossyUses, MessageStats } from '../contract/index.ts';
import type { GenerationOutcome } from './generation.ts';

/** Times of this run; `tokens` and `lossy` count `earlier` runs of the same message too. */
export function statsOf(outcome: GenerationOutcome, earlier: MessageStats | null = null): MessageStats {
  const lossy = [earlier?.lossy, outcome.lossy].filter((uses) => uses !== undefined && uses !== null);
  return {
    promptTokens: outcome.promptTokens,
    cachedTokens: outcome.cachedTokens,
    tokens: (earlier?.tokens ?? 0) + outcome.tokens,
    tokensPerSecond: perSecond(outcome.tokens, outcome.decodeMilliseconds),
    promptTokensPerSecond: perSecond(outcome.promptTokens - outcome.cachedTokens, outcome.promptMilliseconds),
    timeToFirstTokenMs: outcome.timeToFirstTokenMilliseconds,
    seed: outcome.seed,
    ...(lossy.length > 0 && { lossy: lossy.reduce(sumOfUses) }),
  };
}

const sumOfUses = (a: LossyUses, b: LossyUses): LossyUses => ({
  assignments: a.assignments + b.assignments,
  lowPrecision: a.lowPrecision + b.lowPrecision,
  skipped: a.skipped + b.skipped,
});

function perSecond(count: number, milliseconds: number): number {
  return milliseconds > 0 ? (count * 1000) / milliseconds : 0;
}
