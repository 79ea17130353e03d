// One path for every generation: chat, HTTP endpoint and command line all come through here.
import type { ModelCard } from '../contract/index.ts';
import type { RoutesFrame, TokenPiece } from '../engine/engine.ts';
import type { ChatInput, GenerateParameters, GenerateResult, LoadedModel } from '../engine/protocol.ts';

export type GenerationInput = { prompt: string } | { tokens: number[] } | { chat: ChatInput };

export interface GenerationRequest
  extends Pick<
    GenerateParameters,
    'sampling' | 'maxTokens' | 'stop' | 'logprobs' | 'overflow' | 'keep' | 'cacheKey' | 'cachePrompt' | 'ignoreEndOfGeneration'
  > {
  modelId: string;
  input: GenerationInput;
  /** set by the chat service: usage is then also counted for them, and frames carry them */
  chatId?: string;
  messageId?: string;
  /** collect token-level routes */
  routes?: boolean;
}

export interface GenerationHandlers {
  onTokens?(tokens: TokenPiece[]): void;
  /** prompt evaluation, 0..1 */
  onPromptProgress?(fraction: number): void;
  onRoutes?(frame: RoutesFrame): void;
}

/** Counters of one generation; `counts` and `weights` have moeLayers.length * expertCount cells, row-major. */
export interface ExpertUsage {
  moeLayers: number[];
  expertCount: number;
  expertUsedCount: number;
  tokens: number;
  counts: Float64Array;
  weights: Float64Array;
}

export interface GenerationOutcome extends GenerateResult {
  text: string;
  usage: ExpertUsage | null;
}

export interface Generation {
  /** Rejects with MoebiusError; a cancelled one resolves with finishReason `cancelled`. */
  readonly done: Promise<GenerationOutcome>;
  cancel(): void;
}

/** What generation needs of the model library (main/library implements it). */
export interface LoadedModels {
  /** The loaded model; waits while it is loading or coming back after an engine restart; loads it if it is not loaded. Rejects with model.not-found, engine.* or the load's error. */
  acquire(modelId: string, signal?: AbortSignal): Promise<{ card: ModelCard; loaded: LoadedModel }>;
  /** ids of loaded models, the most recently loaded first */
  loadedIds(): string[];
}

/** GenerationService implements it; tests of chat and server double it. */
export interface Generations {
  start(request: GenerationRequest, handlers?: GenerationHandlers): Generation;
}
