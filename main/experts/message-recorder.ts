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
  readonly #texts: string[] = [];
  readonly #fetches: Promise<void>[] = [];
  /** evaluated before the first token came: the prompt, as far as this side can tell */
  #evaluatedBefore: number | null = null;

  constructor(run: GenerationRun, pieces: PieceCache) {
    this.run = run;
    this.usage = new UsageCounter(run.loaded.inspection);
    this.#pieces = pieces;
  }

  onTokens(tokens: TokenPiece[]): void {
    this.#evaluatedBefore ??= this.routes.kept + this.routes.omitted;
    for (const { text } of tokens) this.#texts.push(text);
  }

  onRouting(frame: RoutingFrame): void {
    this.usage.add(frame);
  }

  /** Prompt tokens come before the first generated one; their texts are asked for at once, while the engine lives. */
  onRoutes(frame: RoutesFrame): void {
    if (this.run.messageId === null || !this.run.routes) return;
    this.routes.add(frame);
    if (this.#evaluatedBefore === null) this.#fetches.push(this.#pieces.fetch(this.run.loaded.path, this.run.loaded.model, frame.tokenIds));
  }

  /** What is to be stored. `evaluatedPromptTokens`: as the engine says; null: it did not get to say. `firstToken`: routed tokens that the message has already. */
  async rows(evaluatedPromptTokens: number | null, firstToken: number): Promise<RouteRowWithTexts[]> {
    await Promise.all(this.#fetches);
    const promptTokens = evaluatedPromptTokens ?? this.#evaluatedBefore ?? this.routes.kept;
    let generated = 0;
    return this.routes.rows(firstToken, promptTokens).map((row: RouteRow) => {
      const texts = Array.from(row.tokenIds, (id) => (row.prompt ? this.#pieces.get(this.run.loaded.path, id) : (this.#texts[generated++] ?? '')));
      return { ...row, texts };
    });
  }
}
