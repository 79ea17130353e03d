// Records one generation: counters for its model and message, routes of its tokens.
import type { RoutesFrame, RoutingFrame, TokenPiece } from '../engine/engine.ts';
import type { GenerationRun } from '../generation/usage-sink.ts';
import type { RouteRowWithTexts } from './expert-store.ts';
import type { PieceCache } from './piece-cache.ts';
import { MAXIMUM_ROUTED_TOKENS, RouteCollector, type RouteRow } from './route-collector.ts';
import { UsageCounter } from './usage.ts';

export class MessageRecorder {
  readonly run: GenerationRun;
  readonly usage: UsageCounter;
  readonly routes = new RouteCollector(MAXIMUM_ROUTED_TOKENS);
  readonly #pieces: PieceCache;
  readonly #generated: TokenPiece[] = [];
  /** ids of tokens with routes, in order of evaluation: prompt, then generated ones */
  readonly #evaluated: number[] = [];
  readonly #fetches: Promise<void>[] = [];

  constructor(run: GenerationRun, pieces: PieceCache) {
    this.run = run;
    this.usage = new UsageCounter(run.loaded.inspection);
    this.#pieces = pieces;
  }

  onTokens(tokens: TokenPiece[]): void {
    this.#generated.push(...tokens);
  }

  onRouting(frame: RoutingFrame): void {
    this.usage.add(frame);
  }

  /** Texts of what is certainly prompt are asked for at once, while the engine lives. Generated tokens may be told of before or after their routes. */
  onRoutes(frame: RoutesFrame): void {
    if (this.run.messageId === null || !this.run.routes) return;
    const before = this.#evaluated.length;
    this.#evaluated.push(...frame.tokenIds);
    this.routes.add(frame);
    const leastPrompt = this.#evaluated.length - this.#generated.length;
    if (leastPrompt > before) this.#fetches.push(this.#fetch(frame.tokenIds.subarray(0, leastPrompt - before)));
  }

  /** What is to be stored. `evaluatedPromptTokens`: as the engine says; null: it did not get to say. `firstToken`: routed tokens that the message has already. */
  async rows(evaluatedPromptTokens: number | null, firstToken: number): Promise<RouteRowWithTexts[]> {
    await Promise.all(this.#fetches);
    const promptTokens = evaluatedPromptTokens ?? this.#promptLength();
    if (evaluatedPromptTokens !== null) await this.#fetch(this.#evaluated.slice(0, promptTokens));
    let generated = 0;
    return this.routes.rows(firstToken, promptTokens).map((row: RouteRow) => {
      const texts = Array.from(row.tokenIds, (id) => (row.prompt ? this.#pieces.get(this.run.loaded.path, id) : (this.#generated[generated++]?.text ?? '')));
      return { ...row, texts };
    });
  }

  #fetch(tokenIds: Iterable<number>): Promise<void> {
    return this.#pieces.fetch(this.run.loaded.path, this.run.loaded.model, tokenIds);
  }

  /** What was evaluated ends with the first so many generated tokens: the rest is the prompt. */
  #promptLength(): number {
    const evaluated = this.#evaluated;
    for (let count = Math.min(this.#generated.length, evaluated.length); count > 0; count--) {
      const start = evaluated.length - count;
      if (this.#generated.slice(0, count).every(({ id }, index) => evaluated[start + index] === id)) return start;
    }
    return evaluated.length;
  }
}
