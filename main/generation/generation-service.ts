// Runs generations: model, engine call, frames to everyone who wants them, outcome.
import { MoebiusError } from '../contract/errors.ts';
import type { AppliedAdapter, ModelCard, Publish } from '../contract/index.ts';
import type { CallParameters, Engine, RoutingFrame, TokenPiece } from '../engine/engine.ts';
import type { GenerateResult, LoadedModel, Sampling } from '../engine/protocol.ts';
import { UsageCounter } from '../experts/usage.ts';
import type { AdapterUses, Generation, GenerationHandlers, GenerationOutcome, GenerationRequest, Generations, LoadedModels } from './generation.ts';
import type { UsageSink } from './usage-sink.ts';

export interface GenerationDependencies {
  engine: Engine;
  models: LoadedModels;
  /** default: there are none, and requests that name some are refused */
  adapters?: AdapterUses;
  /** default: nobody else counts */
  usage?: UsageSink;
  /** default: no `experts.frame` events */
  publish?: Publish;
}

export class GenerationService implements Generations {
  readonly #dependencies: GenerationDependencies;

  constructor(dependencies: GenerationDependencies) {
    this.#dependencies = dependencies;
  }

  start(request: GenerationRequest, handlers: GenerationHandlers = {}): Generation {
    const controller = new AbortController();
    const done = this.#run(request, handlers, controller.signal);
    done.catch(() => {}); // who only cancels need not listen
    return { done, cancel: () => controller.abort() };
  }

  async #run(request: GenerationRequest, handlers: GenerationHandlers, signal: AbortSignal): Promise<GenerationOutcome> {
    const progress = new RunProgress(request.sampling?.seed ?? 0);
    try {
      const { card, loaded } = await this.#dependencies.models.acquire(request.modelId, signal);
      return await this.#generate(request, handlers, signal, card, loaded, progress);
    } catch (error) {
      const cancelled = signal.aborted && error instanceof MoebiusError && error.code === 'cancelled';
      if (!cancelled) throw error;
      return progress.outcome(progress.cancelledResult());
    }
  }

  async #generate(
    request: GenerationRequest,
    handlers: GenerationHandlers,
    signal: AbortSignal,
    card: ModelCard,
    loaded: LoadedModel,
    progress: RunProgress,
  ): Promise<GenerationOutcome> {
    const { engine, usage } = this.#dependencies;
    const adapters = await this.#adapters(request, card, loaded);
    progress.adapters = adapters.applied;
    const { chatId = null, messageId = null } = request;
    const recorder = usage?.record({ modelId: card.id, loaded, chatId, messageId, routes: request.routes === true });
    const routes = request.routes === true || usage?.wantsRoutes(loaded) === true;
    let result: GenerateResult | null = null;
    try {
      result = await engine.call(
        'generate',
        { ...toParameters(request, card, loaded), routes, ...(adapters.uses.length > 0 && { adapters: adapters.uses }) },
        {
          signal,
          onProgress: ({ fraction }) => handlers.onPromptProgress?.(fraction),
          onTokens: (tokens) => {
            progress.onTokens(tokens);
            recorder?.onTokens(tokens);
            handlers.onTokens?.(tokens);
          },
          onRouting: (frame) => {
            progress.onRouting(frame, loaded);
            recorder?.onRouting(frame);
            this.#publishFrame(card.id, chatId, messageId, frame);
          },
          onRoutes: (frame) => {
            recorder?.onRoutes(frame);
            if (request.routes) handlers.onRoutes?.(frame);
          },
        },
      );
      return progress.outcome(result);
    } finally {
      await recorder?.finish(result === null ? null : result.promptTokens - result.cachedTokens);
    }
  }

  async #adapters(request: GenerationRequest, card: ModelCard, loaded: LoadedModel): ReturnType<AdapterUses['use']> {
    const { adapters } = this.#dependencies;
    if (adapters) return adapters.use(card.id, loaded, request.adapters);
    if (request.adapters?.length) throw new MoebiusError('adapter.not-found', `The model ${card.id} has no adapters.`);
    return { uses: [], applied: [] };
  }

  #publishFrame(modelId: string, chatId: string | null, messageId: string | null, frame: RoutingFrame): void {
    const { layerCount, expertCount, tokens, cells } = frame;
    this.#dependencies.publish?.('experts.frame', { modelId, chatId, messageId, layerCount, expertCount, tokens, data: cells });
  }
}

/** The model's defaults apply where the request says nothing. */
function toParameters(request: GenerationRequest, card: ModelCard, loaded: LoadedModel): CallParameters<'generate'> {
  const { stop, logprobs, overflow, keep, cachePrompt, ignoreEndOfGeneration } = request;
  const maxTokens = request.maxTokens ?? card.defaults.maxTokens;
  const sampling = mergeSampling(card.defaults.sampling, request.sampling);
  const cacheKey = request.cacheKey ?? request.chatId;
  return { model: loaded.model, ...request.input, sampling, maxTokens, stop, logprobs, overflow, keep, cacheKey, cachePrompt, ignoreEndOfGeneration };
}

/** Of grammar and jsonSchema the engine takes one: the request's replaces the default of either kind. */
function mergeSampling(defaults: Sampling | undefined, asked: Sampling | undefined): Sampling {
  const { grammar, jsonSchema, ...rest } = defaults ?? {};
  const constrained = asked?.grammar !== undefined || asked?.jsonSchema !== undefined;
  return { ...rest, ...(constrained ? {} : { grammar, jsonSchema }), ...asked };
}

/** What has arrived of a generation. */
class RunProgress {
  readonly #seed: number;
  readonly #started = performance.now();
  #firstToken: number | null = null;
  #text = '';
  #tokens = 0;
  #usage: UsageCounter | null = null;
  adapters: AppliedAdapter[] = [];

  constructor(seed: number) {
    this.#seed = seed;
  }

  onTokens(tokens: TokenPiece[]): void {
    this.#firstToken ??= performance.now();
    this.#tokens += tokens.length;
    for (const { text } of tokens) this.#text += text;
  }

  onRouting(frame: RoutingFrame, { inspection }: LoadedModel): void {
    this.#usage ??= new UsageCounter(inspection);
    this.#usage.add(frame);
  }

  outcome(result: GenerateResult): GenerationOutcome {
    return { ...result, text: this.#text, usage: this.#usage, adapters: this.adapters };
  }

  /** For a generation that was cancelled where the engine could not answer (not loaded yet, or hanging): figures of what had arrived, as this side saw it. */
  cancelledResult(): GenerateResult {
    const now = performance.now();
    const first = this.#firstToken ?? now;
    return {
      finishReason: 'cancelled',
      stopString: null,
      promptTokens: Math.max(0, (this.#usage?.tokens ?? 0) - this.#tokens),
      cachedTokens: 0,
      tokens: this.#tokens,
      shiftedTokens: 0,
      seed: this.#seed,
      queueMilliseconds: 0,
      promptMilliseconds: first - this.#started,
      decodeMilliseconds: now - first,
      timeToFirstTokenMilliseconds: first - this.#started,
      lossy: null,
      message: null,
    };
  }
}
