// Who else keeps what the router did. main/experts implements it; commands without a database do without.
import type { RoutesFrame, RoutingFrame, TokenPiece } from '../engine/engine.ts';
import type { LoadedModel } from '../engine/protocol.ts';

export interface GenerationRun {
  modelId: string;
  loaded: LoadedModel;
  chatId: string | null;
  messageId: string | null;
  /** keep token-level routes */
  routes: boolean;
}

/** Hears every frame of one generation, in order. */
export interface UsageRecorder {
  onTokens(tokens: TokenPiece[]): void;
  onRouting(frame: RoutingFrame): void;
  onRoutes(frame: RoutesFrame): void;
  /** Called once, however the generation ended; `evaluatedPromptTokens` is null when it failed. Never rejects. */
  finish(evaluatedPromptTokens: number | null): Promise<void>;
}

export interface UsageSink {
  /** routes of the model's generations are wanted, also where the request asks for none */
  wantsRoutes(loaded: LoadedModel): boolean;
  record(run: GenerationRun): UsageRecorder;
}
