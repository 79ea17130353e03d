import { describe, expect, it, vi } from 'vitest';
import { MoebiusError } from '../../../main/contract/errors.ts';
import { GenerationService } from '../../../main/generation/generation-service.ts';
import type { UsageRecorder } from '../../../main/generation/usage-sink.ts';
import { EngineDouble, generateResult, LibraryDouble, pieces, routesFrame, routingFrame } from '../../support/engine-double.ts';

const request = { modelId: 'double', input: { prompt: 'hello' } };

function streaming(): EngineDouble {
  return new EngineDouble({
    generate: (_, options) => {
      options.onProgress?.({ fraction: 0.5, stage: 'prompt' });
      options.onRouting?.(
        routingFrame(3, [
          [0, 3, 1.5],
          [5, 3, 1],
        ]),
      );
      options.onTokens?.(pieces('Hel', ''));
      options.onRoutes?.(routesFrame(0, [1, 2, 3]));
      options.onRouting?.(routingFrame(1, [[0, 1, 0.5]]));
      options.onTokens?.(pieces('lo'));
      return generateResult({ cachedTokens: 1 });
    },
  });
}

function recorder(): UsageRecorder {
  return { onTokens: vi.fn(), onRouting: vi.fn(), onRoutes: vi.fn(), finish: vi.fn(async () => {}) };
}

describe('GenerationService', () => {
  it('resolves with the text and the summed expert usage', async () => {
    const outcome = await new GenerationService({ engine: streaming(), models: new LibraryDouble() }).start(request).done;
    expect(outcome).toMatchObject({ text: 'Hello', finishReason: 'stop', promptTokens: 3 });
    expect(outcome.usage).toMatchObject({ moeLayers: [1, 3], expertCount: 4, expertUsedCount: 2, tokens: 4 });
    expect(outcome.usage && [...outcome.usage.counts]).toEqual([4, 0, 0, 0, 0, 3, 0, 0]);
    expect(outcome.usage && [...outcome.usage.weights]).toEqual([2, 0, 0, 0, 0, 1, 0, 0]);
  });

  it('has no usage when the router was not observed', async () => {
    const engine = new EngineDouble({ generate: () => generateResult() });
    expect((await new GenerationService({ engine, models: new LibraryDouble() }).start(request).done).usage).toBeNull();
  });

  it('hands frames to the caller, the recorder and the UI', async () => {
    const heard = recorder();
    const usage = { wantsRoutes: () => false, record: vi.fn(() => heard) };
    const publish = vi.fn();
    const handlers = { onTokens: vi.fn(), onPromptProgress: vi.fn(), onRoutes: vi.fn() };
    const models = new LibraryDouble();
    const service = new GenerationService({ engine: streaming(), models, usage, publish });
    await service.start({ ...request, chatId: 'c', messageId: 'm', routes: true }, handlers).done;
    expect(usage.record).toHaveBeenCalledWith({ modelId: 'double', loaded: models.loaded, chatId: 'c', messageId: 'm', routes: true });
    expect(handlers.onTokens).toHaveBeenCalledTimes(2);
    expect(handlers.onPromptProgress).toHaveBeenCalledWith(0.5);
    expect(handlers.onRoutes).toHaveBeenCalledOnce();
    expect(heard.onRouting).toHaveBeenCalledTimes(2);
    expect(heard.finish).toHaveBeenCalledExactlyOnceWith(2);
    const shape = { layerCount: 2, expertCount: 4 };
    expect(publish).toHaveBeenLastCalledWith('experts.frame', {
      modelId: 'double',
      chatId: 'c',
      messageId: 'm',
      ...shape,
      tokens: 1,
      data: routingFrame(1, [[0, 1, 0.5]]).cells,
    });
  });

  it('asks for routes where the recorder wants them, and keeps them from a caller who did not', async () => {
    const heard = recorder();
    const engine = streaming();
    const onRoutes = vi.fn();
    const service = new GenerationService({ engine, models: new LibraryDouble(), usage: { wantsRoutes: () => true, record: () => heard } });
    await service.start(request, { onRoutes }).done;
    expect(engine.calls[0]?.parameters.routes).toBe(true);
    expect(heard.onRoutes).toHaveBeenCalledOnce();
    expect(onRoutes).not.toHaveBeenCalled();
  });

  it("fills in the model's defaults where the request says nothing", async () => {
    const engine = streaming();
    const models = new LibraryDouble();
    models.defaults = { maxTokens: 64, sampling: { temperature: 0.5, topK: 20, grammar: 'root ::= "a"' } };
    const service = new GenerationService({ engine, models });
    await service.start({ ...request, chatId: 'c', sampling: { temperature: 0 } }).done;
    expect(engine.calls[0]?.parameters).toMatchObject({
      model: 3,
      prompt: 'hello',
      maxTokens: 64,
      cacheKey: 'c',
      sampling: { temperature: 0, topK: 20, grammar: 'root ::= "a"' },
    });
    await service.start({ ...request, maxTokens: 8, cacheKey: 'k', sampling: { jsonSchema: {} } }).done;
    expect(engine.calls[1]?.parameters).toMatchObject({ maxTokens: 8, cacheKey: 'k', sampling: { topK: 20, jsonSchema: {} } });
    expect(engine.calls[1]?.parameters.sampling).not.toHaveProperty('grammar');
  });

  it('passes failures on and still closes the recorder', async () => {
    const heard = recorder();
    const engine = new EngineDouble({ generate: () => Promise.reject(new MoebiusError('engine.died', 'It died.')) });
    const { done } = new GenerationService({ engine, models: new LibraryDouble(), usage: { wantsRoutes: () => false, record: () => heard } }).start(request);
    await expect(done).rejects.toMatchObject({ code: 'engine.died' });
    expect(heard.finish).toHaveBeenCalledExactlyOnceWith(null);
  });

  it('cancels through the engine and resolves with its answer', async () => {
    const engine = new EngineDouble({
      generate: (_, { signal }) =>
        new Promise((resolve) => signal?.addEventListener('abort', () => resolve(generateResult({ finishReason: 'cancelled', tokens: 9 })))),
    });
    const generation = new GenerationService({ engine, models: new LibraryDouble() }).start(request);
    await vi.waitFor(() => expect(engine.calls).toHaveLength(1));
    generation.cancel();
    expect(await generation.done).toMatchObject({ finishReason: 'cancelled', tokens: 9 });
  });

  it('resolves with what had arrived when an engine that hangs cannot answer the cancellation', async () => {
    const engine = new EngineDouble({
      generate: (_, options) => {
        options.onRouting?.(routingFrame(4, [[0, 4, 2]]));
        options.onTokens?.(pieces('par'));
        return new Promise((_, reject) =>
          options.signal?.addEventListener('abort', () => reject(new MoebiusError('cancelled', 'Cancelled while the engine did not answer.'))),
        );
      },
    });
    const generation = new GenerationService({ engine, models: new LibraryDouble() }).start({ ...request, sampling: { seed: 5 } });
    await vi.waitFor(() => expect(engine.calls).toHaveLength(1));
    generation.cancel();
    expect(await generation.done).toMatchObject({ finishReason: 'cancelled', text: 'par', tokens: 1, promptTokens: 3, seed: 5, usage: { tokens: 4 } });
  });

  it('can be cancelled while the model still loads', async () => {
    const models = new LibraryDouble();
    models.acquire = (_: string, signal?: AbortSignal) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new MoebiusError('cancelled', 'Cancelled.'))));
    const engine = new EngineDouble();
    const generation = new GenerationService({ engine, models }).start(request);
    generation.cancel();
    expect(await generation.done).toMatchObject({ finishReason: 'cancelled', text: '', tokens: 0, usage: null });
    expect(engine.calls).toEqual([]);
  });
});
