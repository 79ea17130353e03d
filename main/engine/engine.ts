// What the rest of main/ knows of the engine. EngineSupervisor implements it; tests may double it.
import type { EngineStatus } from '../contract/index.ts';
import type { EngineMethod, EngineParameters, EngineResult, Progress } from './protocol.ts';

/** One token of a TOKENS frame. */
export interface TokenPiece {
  id: number;
  /** text that this token released; may be empty */
  text: string;
  /** natural log; null if not asked */
  logprob: number | null;
  endOfGeneration: boolean;
  /** alternatives, most likely first; `bytes` is the raw piece */
  top: { id: number; logprob: number; bytes: Uint8Array }[];
}

/** A ROUTING frame: increments. `cells` is packed (u32 cell, u32 count, f32 weightSum), see main/contract/experts.ts. */
export interface RoutingFrame {
  layerCount: number;
  expertCount: number;
  tokens: number;
  cells: Uint8Array<ArrayBuffer>;
}

/** A ROUTES frame: experts and weights are [token][moeLayer][k], flat; 0xFFFF = not computed. */
export interface RoutesFrame {
  firstPosition: number;
  tokenIds: Int32Array;
  layerCount: number;
  expertUsedCount: number;
  experts: Uint16Array;
  weights: Float32Array;
}

export interface LogitsFrame {
  rowCount: number;
  vocabularySize: number;
  logits: Float32Array;
}

export interface FrameHandlers {
  onTokens?(tokens: TokenPiece[]): void;
  onRouting?(frame: RoutingFrame): void;
  onRoutes?(frame: RoutesFrame): void;
  onLogits?(frame: LogitsFrame): void;
  onProgress?(progress: Omit<Progress, 'token'>): void;
}

export interface CallOptions extends FrameHandlers {
  /** aborting sends $/cancelRequest; `generate` then resolves with finishReason `cancelled`, others reject with code `cancelled` */
  signal?: AbortSignal;
}

/** `generation` and `progressToken` are filled in by the client. */
export type CallParameters<M extends EngineMethod> = Omit<EngineParameters<M>, 'generation' | 'progressToken'>;

export interface Engine {
  readonly status: EngineStatus;
  onStatus(listener: (status: EngineStatus) => void): () => void;
  /** Rejects with MoebiusError: the engine's own, `engine.died` when it ends meanwhile, `engine.starting`/`engine.crash-loop` when there is none. */
  call<M extends EngineMethod>(method: M, parameters: CallParameters<M>, options?: CallOptions): Promise<EngineResult<M>>;
  /** starts anew, also out of a crash loop */
  restart(): Promise<void>;
  /** kills the process; idempotent */
  dispose(): Promise<void>;
}
