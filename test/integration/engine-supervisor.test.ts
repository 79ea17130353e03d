// The supervisor with the real engine and the embedded model.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { EngineStatus } from '../../main/contract/app.ts';
import type { TokenPiece } from '../../main/engine/engine.ts';
import type { LoadedModel } from '../../main/engine/protocol.ts';
import { defaultTiming, type EngineSupervisor } from '../../main/engine/supervisor.ts';
import type { GenerationRequest } from '../../main/generation/generation.ts';
import { GenerationService } from '../../main/generation/generation-service.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { LibraryDouble } from '../support/engine-double.ts';

// a loaded machine starts processes and loads models slowly
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let engine: EngineSupervisor;
let models: LibraryDouble;
let generations: GenerationService;

beforeEach(async () => {
  engine = await startEngine();
  models = new LibraryDouble();
  models.loaded = await load();
  generations = new GenerationService({ engine, models });
});
afterEach(async () => {
  await engine.dispose();
});

/** One thread: several would wait for each other on a machine that runs other tests too. */
function load(): Promise<LoadedModel> {
  return engine.call('model.load', { path: tinyModel, options: { threads: 1, threadsBatch: 1 } });
}

const greedy: GenerationRequest = {
  modelId: 'tiny-moe',
  input: { prompt: 'Once upon a time' },
  sampling: { temperature: 0 },
  maxTokens: 32,
  ignoreEndOfGeneration: true,
};

function reached(state: EngineStatus['state']): Promise<number> {
  return new Promise((resolve) => {
    const off = engine.onStatus((status) => {
      if (status.state !== state) return;
      off();
      resolve(performance.now());
    });
  });
}

/** Starts an endless reply and resolves once it streams. */
async function endless(request: Partial<GenerationRequest> = {}) {
  const first = Promise.withResolvers<void>();
  let text = '';
  const onTokens = (tokens: TokenPiece[]) => {
    for (const token of tokens) text += token.text;
    if (text.length > 20) first.resolve();
  };
  const generation = generations.start({ ...greedy, maxTokens: 1_000_000, overflow: 'shift', ...request }, { onTokens });
  generation.done.catch(first.reject);
  await first.promise;
  return { generation, text: () => text };
}

describe('a killed engine', () => {
  it('is reported within a second, keeps what was streamed, and serves the next request: five times', async () => {
    const expected = (await generations.start(greedy).done).text;
    for (let round = 1; round <= 5; round++) {
      const { generation, text } = await endless();
      const ready = reached('ready');
      const reported = reached('restarting');
      const killed = performance.now();
      process.kill(engine.status.processId ?? 0, 'SIGKILL');
      await expect(generation.done).rejects.toMatchObject({ code: 'engine.died', message: expect.stringContaining('SIGKILL') });
      expect((await reported) - killed).toBeLessThan(1000);
      expect(text().slice(0, expected.length)).toBe(expected.slice(0, text().length));
      // a fresh process with back-off: the promise is 5 s
      expect((await ready) - killed).toBeLessThan(5000);
      expect(engine.status.restarts).toBe(round);
      models.loaded = await load();
      expect((await generations.start(greedy).done).text).toBe(expected);
    }
  });

  it('is noticed when it hangs, and a running reply can be stopped then', async () => {
    await engine.dispose();
    engine = await startEngine({ timing: { ...defaultTiming, pingInterval: 500, pingTimeout: 1500 } });
    models.loaded = await load();
    generations = new GenerationService({ engine, models });
    const { generation } = await endless();
    const noticed = reached('unresponsive');
    process.kill(engine.status.processId ?? 0, 'SIGSTOP');
    await noticed;
    generation.cancel();
    expect(await generation.done).toMatchObject({ finishReason: 'cancelled', promptTokens: expect.any(Number), text: expect.stringMatching(/.{20}/s) });
    process.kill(engine.status.processId ?? 0, 'SIGCONT');
    await reached('ready');
    expect(engine.status.restarts).toBe(0);
  });
});

describe('generations', () => {
  it('give four conversations at once the texts that each gives alone', async () => {
    const prompts = ['Once upon a time', 'The little dog', 'In the dark forest', 'My name is'];
    const request = (prompt: string) => ({ ...greedy, input: { prompt }, cachePrompt: false });
    const alone: string[] = [];
    for (const prompt of prompts) alone.push((await generations.start(request(prompt)).done).text);
    const together = await Promise.all(prompts.map((prompt) => generations.start(request(prompt)).done));
    expect(new Set(alone).size).toBe(prompts.length);
    expect(together.map((outcome) => outcome.text)).toEqual(alone);
  });

  it('are cancelled at any token and free their place', async () => {
    for (let round = 0; round < 8; round++) {
      const { generation, text } = await endless();
      generation.cancel();
      const outcome = await generation.done;
      expect(outcome).toMatchObject({ finishReason: 'cancelled', text: text() });
    }
    expect(await engine.call('ping', {})).toMatchObject({ running: 0 });
  });

  it('count every evaluated token in every layer', async () => {
    const { promptTokens, tokens, usage } = await generations.start({ ...greedy, cachePrompt: false }).done;
    const { moeLayers, expertCount, expertUsedCount } = models.loaded.inspection;
    expect(usage).toMatchObject({ moeLayers, expertCount, expertUsedCount });
    if (usage === null) throw new Error('there is no usage');
    // the last token was generated and not evaluated
    expect(usage.tokens).toBe(promptTokens + tokens - 1);
    const layers = moeLayers.map((_, row) => usage.counts.slice(row * expertCount, (row + 1) * expertCount).reduce((sum, count) => sum + count, 0));
    // the last layer is evaluated only where logits are wanted: at the prompt's end and at each token
    expect(layers).toEqual(moeLayers.map((_, row) => (row === moeLayers.length - 1 ? tokens : usage.tokens) * expertUsedCount));
  });

  it('tell the routes of every evaluated token, in order, equal to the counters', async () => {
    const counts = new Float64Array(models.loaded.inspection.moeLayers.length * models.loaded.inspection.expertCount);
    const positions: number[] = [];
    const outcome = await generations.start(
      { ...greedy, routes: true, cachePrompt: false },
      {
        onRoutes: (frame) => {
          const perToken = frame.layerCount * frame.expertUsedCount;
          positions.push(...Array.from(frame.tokenIds, (_, index) => frame.firstPosition + index));
          frame.experts.forEach((expert, index) => {
            const layer = Math.floor((index % perToken) / frame.expertUsedCount);
            const cell = layer * models.loaded.inspection.expertCount + expert;
            if (expert !== 0xffff) counts[cell] = (counts[cell] ?? 0) + 1;
          });
        },
      },
    ).done;
    expect(positions).toEqual(Array.from({ length: outcome.promptTokens + outcome.tokens - 1 }, (_, position) => position));
    expect(outcome.usage?.counts).toEqual(counts);
  });
});

describe('the engine process', () => {
  it('ends with its supervisor', async () => {
    const { processId } = engine.status;
    const { generation } = await endless();
    const started = performance.now();
    await engine.dispose();
    expect(performance.now() - started).toBeLessThan(3000);
    expect(() => process.kill(processId ?? 0, 0)).toThrow('ESRCH');
    await generation.done.catch((error: unknown) => expect(error).toMatchObject({ code: 'engine.died' }));
  });

  it("passes on the engine's own errors", async () => {
    await expect(engine.call('model.load', { path: '/does/not/exist.gguf' })).rejects.toMatchObject({
      code: 'file.not-found',
      message: expect.stringContaining('exist.gguf'),
    });
    await expect(generations.start({ ...greedy, input: { prompt: 'word '.repeat(2000) } }).done).rejects.toMatchObject({ code: 'prompt.too-long' });
  });
});
