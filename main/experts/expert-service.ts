// Expert usage per model, conversation and message, and the token inspector's routes.
import type { Handlers, Usage, UsageScope } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import { type Logger, silentLogger } from '../engine/log.ts';
import type { LoadedModel } from '../engine/protocol.ts';
import type { GenerationRun, UsageRecorder, UsageSink } from '../generation/usage-sink.ts';
import type { Database } from '../storage/database.ts';
import type { CacheTuner } from './cache-tuner.ts';
import { continues, ExpertStore } from './expert-store.ts';
import type { LayoutKeeper } from './layout-keeper.ts';
import { MessageRecorder } from './message-recorder.ts';
import { PieceCache } from './piece-cache.ts';
import type { SuperExpertMemory } from './super-experts.ts';
import { tokenRoutes } from './token-routes.ts';
import { sumOfLatestModel, toUsage, UsageCounter } from './usage.ts';

export interface ExpertDependencies {
  database: Database;
  engine: Engine;
  /** hears every generation; default: nobody tunes caches */
  tuner?: CacheTuner;
  /** keeps what generations show of super experts; default: nobody does */
  superExperts?: SuperExpertMemory;
  /** hears when generations begin and end; default: nobody does */
  layouts?: Pick<LayoutKeeper, 'began' | 'ended'>;
  logger?: Logger;
}

type Methods = 'experts.usage' | 'experts.tokens';

export class ExpertService implements UsageSink {
  readonly handlers: Handlers<Methods>;
  readonly #store: ExpertStore;
  readonly #pieces: PieceCache;
  readonly #logger: Logger;
  readonly #tuner: CacheTuner | undefined;
  readonly #superExperts: SuperExpertMemory | undefined;
  readonly #layouts: Pick<LayoutKeeper, 'began' | 'ended'> | undefined;
  /** counters since the load; `life` tells one load of a model from the next */
  readonly #models = new Map<string, { life: string; usage: UsageCounter }>();
  /** generations of messages that still run */
  readonly #running = new Set<MessageRecorder>();
  /** those of them that are being stored */
  readonly #storing = new Map<MessageRecorder, Promise<void>>();
  /** how many were begun to be stored */
  #stores = 0;

  constructor({ database, engine, tuner, superExperts, layouts, logger }: ExpertDependencies) {
    this.#store = new ExpertStore(database);
    this.#pieces = new PieceCache(engine);
    this.#logger = logger ?? silentLogger;
    this.#tuner = tuner;
    this.#superExperts = superExperts;
    this.#layouts = layouts;
    this.handlers = {
      'experts.usage': ({ scope }) => this.usage(scope),
      'experts.tokens': ({ messageId, offset, limit }) => this.tokens(messageId, offset, limit),
    };
  }

  /** Forgets the counters of a model: it was unloaded. */
  resetModel(modelId: string): void {
    this.#models.delete(modelId);
  }

  wantsRoutes(loaded: LoadedModel): boolean {
    return this.#tuner?.listensTo(loaded) ?? false;
  }

  record(run: GenerationRun): UsageRecorder {
    const model = this.#modelCounter(run);
    const recorder = new MessageRecorder(run, this.#pieces);
    const listener = this.#tuner?.listen(run.modelId, run.loaded);
    this.#layouts?.began();
    if (run.messageId !== null) this.#running.add(recorder);
    return {
      onTokens: (tokens) => recorder.onTokens(tokens),
      onRoutes: (frame) => {
        recorder.onRoutes(frame);
        listener?.onRoutes(frame);
      },
      onRouting: (frame) => {
        model.add(frame);
        recorder.onRouting(frame);
      },
      finish: (evaluatedPromptTokens) => {
        listener?.finish(evaluatedPromptTokens);
        this.#layouts?.ended();
        void this.#superExperts?.used(run.modelId, run.loaded);
        return this.#finish(recorder, evaluatedPromptTokens);
      },
    };
  }

  /** Stored messages and running ones together; null when nothing was counted. */
  async usage(scope: UsageScope): Promise<Usage | null> {
    if (scope.kind === 'model') {
      const usage = this.#models.get(scope.id)?.usage;
      return usage === undefined ? null : toUsage(scope.id, usage);
    }
    for (;;) {
      await Promise.all(this.#storing.values());
      const before = this.#stores;
      const message = scope.kind === 'message' ? await this.#store.message(scope.id) : null;
      const stored = scope.kind === 'chat' ? await this.#store.chat(scope.id) : message === null ? [] : [message];
      // a generation that was being stored meanwhile may be in what was read, or not: read again
      if (before !== this.#stores) continue;
      const running = [...this.#running].filter(({ run, usage }) => usage.tokens > 0 && (scope.kind === 'chat' ? run.chatId : run.messageId) === scope.id);
      return sumOfLatestModel([...stored, ...running.map((each) => ({ modelId: each.run.modelId, usage: each.usage }))]);
    }
  }

  async tokens(messageId: string, offset: number, limit: number): Promise<Awaited<ReturnType<Handlers<Methods>['experts.tokens']>>> {
    const stored = await this.#store.message(messageId);
    if (stored === null) return { total: 0, moeLayers: [], expertUsedCount: 0, tokens: [] };
    const { moeLayers, expertUsedCount } = stored.usage;
    const rows = await this.#store.routes(messageId, offset, limit);
    const tokens = rows.flatMap((row) => tokenRoutes(row, { layerCount: moeLayers.length, expertUsedCount }, offset, limit));
    return { total: stored.routesRecorded, omitted: stored.routesOmitted, moeLayers, expertUsedCount, tokens };
  }

  #modelCounter({ modelId, loaded }: GenerationRun): UsageCounter {
    const life = `${loaded.model}/${loaded.path}/${loaded.loadMilliseconds}`;
    const known = this.#models.get(modelId);
    if (known?.life === life) return known.usage;
    const usage = new UsageCounter(loaded.inspection);
    this.#models.set(modelId, { life, usage });
    return usage;
  }

  #finish(recorder: MessageRecorder, evaluatedPromptTokens: number | null): Promise<void> {
    const { messageId, modelId } = recorder.run;
    if (messageId === null) return Promise.resolve();
    this.#stores += 1;
    // a reply is not failed because its statistics could not be kept: that is logged
    const storing = this.#persist(recorder, messageId, modelId, evaluatedPromptTokens)
      .catch((error: unknown) =>
        this.#logger.error(`expert usage of message ${messageId} was not stored: ${error instanceof Error ? error.message : String(error)}`),
      )
      .finally(() => {
        this.#running.delete(recorder);
        this.#storing.delete(recorder);
      });
    this.#storing.set(recorder, storing);
    return storing;
  }

  async #persist(recorder: MessageRecorder, messageId: string, modelId: string, evaluatedPromptTokens: number | null): Promise<void> {
    if (recorder.usage.tokens === 0) return;
    const stored = await this.#store.message(messageId);
    const recorded = stored !== null && continues(stored, modelId, recorder.usage) ? stored.routesRecorded : 0;
    const rows = await recorder.rows(evaluatedPromptTokens, recorded);
    await this.#store.add(messageId, modelId, recorder.usage, rows, recorder.routes.omitted);
  }
}
