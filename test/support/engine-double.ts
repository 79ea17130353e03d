// In-memory doubles of what generation needs: an engine whose calls the test answers, and a library with one loaded model.
import type { EngineStatus, ModelCard } from '../../main/contract/index.ts';
import type { CallOptions, CallParameters, Engine, RoutesFrame, RoutingFrame, TokenPiece } from '../../main/engine/engine.ts';
import type { EngineMethod, EngineResult, GenerateResult, Inspection, LoadedModel } from '../../main/engine/protocol.ts';
import type { LoadedModels } from '../../main/generation/generation.ts';

type Answer = (parameters: Record<string, unknown>, options: CallOptions) => unknown;

/** Answers every method with the function that the test gives for it. */
export class EngineDouble implements Engine {
  readonly status: EngineStatus = { state: 'ready', processId: 1, restarts: 0, llamaVersion: '0.5.0', backends: ['CPU'], error: null };
  readonly calls: { method: EngineMethod; parameters: Record<string, unknown> }[] = [];
  readonly answers: Partial<Record<EngineMethod, Answer>>;

  constructor(answers: Partial<Record<EngineMethod, Answer>> = {}) {
    this.answers = answers;
  }

  async call<M extends EngineMethod>(method: M, parameters: CallParameters<M>, options: CallOptions = {}): Promise<EngineResult<M>> {
    this.calls.push({ method, parameters: { ...parameters } });
    const answer = this.answers[method];
    if (answer === undefined) throw new Error(`the test has no answer to ${method}`);
    return (await answer({ ...parameters }, options)) as EngineResult<M>; // the test answers for the method it named
  }

  readonly #listeners = new Set<(status: EngineStatus) => void>();

  onStatus(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  /** Tells the listeners what `status` is now. */
  tellStatus(): void {
    for (const listener of this.#listeners) listener(this.status);
  }
  async restart(): Promise<void> {}
  async dispose(): Promise<void> {}
}

/** 2 MoE layers (blocks 1 and 3) of 4 experts, 2 used. */
export function loadedModel(changes: Partial<LoadedModel> = {}): LoadedModel {
  // only what generation and experts read of an inspection
  const inspection = { moeLayers: [1, 3], expertCount: 4, expertUsedCount: 2, name: 'double', architecture: 'test' } as Inspection;
  return { model: 3, path: '/models/double.gguf', inspection, options: {}, loadMilliseconds: 5, memory: [], telemetry: true, ...changes };
}

export class LibraryDouble implements LoadedModels {
  loaded = loadedModel();
  defaults: ModelCard['defaults'] = {};

  async acquire(modelId: string): Promise<{ card: ModelCard; loaded: LoadedModel }> {
    // only what generation reads of a card
    return { card: { id: modelId, defaults: this.defaults } as ModelCard, loaded: this.loaded };
  }
  loadedIds(): string[] {
    return ['double'];
  }
}

export function generateResult(changes: Partial<GenerateResult> = {}): GenerateResult {
  const times = { queueMilliseconds: 0, promptMilliseconds: 1, decodeMilliseconds: 2, timeToFirstTokenMilliseconds: 1 };
  return {
    finishReason: 'stop',
    stopString: null,
    promptTokens: 3,
    cachedTokens: 0,
    tokens: 2,
    shiftedTokens: 0,
    seed: 7,
    ...times,
    lossy: null,
    message: null,
    ...changes,
  };
}

export function pieces(...texts: string[]): TokenPiece[] {
  return texts.map((text, id) => ({ id, text, logprob: null, endOfGeneration: false, top: [] }));
}

/** A frame of the double's shape; cells are [cell, count, weightSum]. */
export function routingFrame(tokens: number, cells: [number, number, number][], shape = { layerCount: 2, expertCount: 4 }): RoutingFrame {
  const view = new DataView(new ArrayBuffer(cells.length * 12));
  cells.forEach(([cell, count, weight], index) => {
    view.setUint32(index * 12, cell, true);
    view.setUint32(index * 12 + 4, count, true);
    view.setFloat32(index * 12 + 8, weight, true);
  });
  return { ...shape, tokens, cells: new Uint8Array(view.buffer) };
}

/** Routes of the double's shape: token t uses experts t%4 (weight 0.75) and (t+1)%4 (0.25) in both layers. */
export function routesFrame(firstPosition: number, tokenIds: number[]): RoutesFrame {
  const experts = tokenIds.flatMap((id) => [id % 4, (id + 1) % 4, id % 4, (id + 1) % 4]);
  const weights = experts.map((_, index) => (index % 2 === 0 ? 0.75 : 0.25));
  return {
    firstPosition,
    tokenIds: Int32Array.from(tokenIds),
    layerCount: 2,
    expertUsedCount: 2,
    experts: Uint16Array.from(experts),
    weights: Float32Array.from(weights),
  };
}
