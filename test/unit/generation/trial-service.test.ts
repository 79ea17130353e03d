import { describe, expect, it } from 'vitest';
import { GenerationService } from '../../../main/generation/generation-service.ts';
import { TrialService } from '../../../main/generation/trial-service.ts';
import { EngineDouble, generateResult, LibraryDouble, pieces } from '../../support/engine-double.ts';

function bench() {
  const deltas: unknown[] = [];
  const engine = new EngineDouble({
    generate: (_, { onTokens, signal }) => {
      onTokens?.(pieces('Ah', 'oy'));
      return new Promise((resolve) => {
        const end = () =>
          resolve(
            generateResult({ finishReason: signal?.aborted ? 'cancelled' : 'stop', message: { content: 'Ahoy', reasoningContent: 'hm', toolCalls: [] } }),
          );
        signal?.addEventListener('abort', end);
        setTimeout(end, 20);
      });
    },
  });
  const trials = new TrialService(new GenerationService({ engine, models: new LibraryDouble() }), (event, payload) => {
    if (event === 'trials.delta') deltas.push(payload);
  });
  const run = (ticket: string) =>
    trials.handlers['trials.run']({ ticket, modelId: 'tiny', input: { chat: { messages: [{ role: 'user', content: 'Hi' }] } }, parameters: { maxTokens: 5 } });
  return { engine, trials, deltas, run };
}

describe('a trial', () => {
  it('streams its text and answers with what came', async () => {
    const b = bench();
    expect(await b.run('a')).toMatchObject({ text: 'Ahoy', reasoning: 'hm', finishReason: 'stop', adapters: [], stats: { tokens: 2, seed: 7 } });
    expect(b.deltas).toEqual([{ ticket: 'a', text: 'Ahoy' }]);
    expect(b.engine.calls[0]?.parameters).toMatchObject({ maxTokens: 5 });
  });

  it('ends when it is cancelled, and others go on', async () => {
    const b = bench();
    const both = [b.run('a'), b.run('b')];
    await b.trials.handlers['trials.cancel']({ ticket: 'a' });
    expect((await Promise.all(both)).map(({ finishReason }) => finishReason)).toEqual(['cancelled', 'stop']);
  });

  it('needs a ticket of its own', async () => {
    const b = bench();
    const first = b.run('a');
    await expect(b.run('a')).rejects.toMatchObject({ code: 'generation.duplicate' });
    await first;
    await b.run('a');
  });
});
