// One path for every generation: chat, HTTP endpoint and command line all come through here.
import type { AdapterChoice, AppliedAdapter, ModelCard } from '../contract/index.ts';
import type { RoutesFrame, TokenPiece } from '../engine/engine.ts';
import type { AdapterUse, ChatInput, GenerateParameters, GenerateResult, LoadedModel } from '../engine/protocol.ts';

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
  /** that are on; left out: as the model's adapters are set */
  adapters?: AdapterChoice[];
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
  /** that were on */
  adapters: AppliedAdapter[];
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

/** What a model can be used with (main/library/adapters implements it). */
export interface AdapterUses {
  /** What is on with these choices, those of other models left out; undefined: as the model's adapters are set. Throws adapter.not-found. */
  chosen(modelId: string, choices: AdapterChoice[] | undefined): AppliedAdapter[];
  /** The same in the engine, where files that are not loaded yet are; other models' are refused. Rejects also with what is wrong with a file. */
  use(modelId: string, loaded: LoadedModel, choices: AdapterChoice[] | undefined): Promise<{ uses: AdapterUse[]; applied: AppliedAdapter[] }>;
}

/** GenerationService implements it; tests of chat and server double it. */
export interface Generations {
  start(request: GenerationRequest, handlers?: GenerationHandlers): Generation;
}
