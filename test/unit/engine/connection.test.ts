import { afterEach, describe, expect, it, vi } from 'vitest';
import { EngineConnection } from '../../../main/engine/connection.ts';
import type { RoutesFrame, TokenPiece } from '../../../main/engine/engine.ts';
import { fakeEngine, type Script } from '../../support/fake-engine.ts';

const open: EngineConnection[] = [];
function connect(script: Script = {}): EngineConnection {
  const connection = new EngineConnection(fakeEngine(script));
  open.push(connection);
  return connection;
}
afterEach(async () => {
  for (const connection of open.splice(0)) {
    connection.kill('the test is over');
    await connection.ended;
  }
});

const prompt = { model: 1, prompt: 'x' };
const textOf = (pieces: TokenPiece[]) => pieces.map((piece) => piece.text).join('');

describe('EngineConnection', () => {
  it('calls a method and parses its result', async () => {
    expect(await connect().call('ping', {})).toMatchObject({ running: 0 });
  });

  it('delivers every frame of a generation before its result', async () => {
    const pieces: TokenPiece[] = [];
    const routes: RoutesFrame[] = [];
    const progress: number[] = [];
    let routedTokens = 0;
    const result = await connect({ tokens: 8, interval: 0 }).call(
      'generate',
      { ...prompt, routes: true },
      {
        onTokens: (tokens) => pieces.push(...tokens),
        onRouting: (frame) => {
          routedTokens += frame.tokens;
        },
        onRoutes: (frame) => routes.push(frame),
        onProgress: ({ fraction }) => progress.push(fraction),
      },
    );
    expect(result).toMatchObject({ finishReason: 'stop', tokens: 8 });
    expect(textOf(pieces)).toBe(' 0 1 2 3 4 5 6 7');
    expect(routedTokens).toBe(3 + 8);
    expect(routes.map((frame) => frame.firstPosition)).toEqual([0, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(progress).toEqual([0.5]);
  });

  it('reads frames that arrive in pieces of any size', async () => {
    let text = '';
    await connect({ tokens: 3, pieces: 7 }).call('generate', prompt, { onTokens: (pieces) => (text += textOf(pieces)) });
    expect(text).toBe(' 0 1 2');
  });

  it('keeps the frames of generations that run at once apart', async () => {
    const connection = connect({ tokens: 20 });
    const texts = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        let text = '';
        await connection.call('generate', prompt, { onTokens: (pieces) => (text += textOf(pieces)) });
        return text;
      }),
    );
    expect(new Set(texts)).toEqual(new Set([Array.from({ length: 20 }, (_, index) => ` ${index}`).join('')]));
  });

  it('delivers logits before the result', async () => {
    const onLogits = vi.fn();
    expect(await connect().call('model.logits', { model: 1, tokens: [1] }, { onLogits })).toEqual({ rowCount: 1, vocabularySize: 3 });
    expect(onLogits).toHaveBeenCalledWith({ rowCount: 1, vocabularySize: 3, logits: new Float32Array([1, 2, 3]) });
  });

  it('ends a generation with finishReason cancelled when its signal aborts, before or meanwhile', async () => {
    const connection = connect({ after: 'wait' });
    const controller = new AbortController();
    const running = connection.call('generate', prompt, { signal: controller.signal, onTokens: ([piece]) => piece?.id === 2 && controller.abort() });
    expect(await running).toMatchObject({ finishReason: 'cancelled' });
    expect(await connection.call('generate', prompt, { signal: AbortSignal.abort() })).toMatchObject({ finishReason: 'cancelled' });
  });

  it("passes on the engine's own errors with their code, message and numbers", async () => {
    const call = connect({ after: 'fail' }).call('generate', prompt);
    await expect(call).rejects.toMatchObject({
      name: 'MoebiusError',
      code: 'context.full',
      message: expect.stringContaining('900 tokens'),
      details: { contextLength: 512 },
    });
  });

  it('refuses a result that protocol.ts does not describe', async () => {
    await expect(connect({ after: 'bad-result' }).call('generate', prompt)).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('finishReason'),
    });
  });

  it('survives a handler that throws', async () => {
    const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    const connection = new EngineConnection({ ...fakeEngine(), logger });
    open.push(connection);
    const onTokens = () => {
      throw new Error('a bug of the caller');
    };
    expect(await connection.call('generate', prompt, { onTokens })).toMatchObject({ finishReason: 'stop' });
    expect(logger.error).toHaveBeenCalledWith(expect.stringContaining('a bug of the caller'));
    expect(logger.info).toHaveBeenCalledWith('fake engine, life 1');
  });

  it.each([
    ['crash', 'was killed by SIGSEGV'],
    ['abort', 'was killed by SIGABRT'],
    ['exit', 'ended with exit code 3'],
    ['garbage', 'foreign bytes'],
    ['half-frame', 'was killed by SIGKILL'],
    ['bad-frame', 'ends inside a field'],
  ] as const)('rejects calls in flight when the engine ends by: %s', async (after, reason) => {
    const connection = connect({ after, tokens: 4 });
    let text = '';
    const other = connection.call('generate', prompt).catch((error: unknown) => error);
    const call = connection.call('generate', prompt, { onTokens: (pieces) => (text += textOf(pieces)) });
    await expect(call).rejects.toMatchObject({ code: 'engine.died', message: expect.stringContaining(reason) });
    expect(await other).toMatchObject({ code: 'engine.died' });
    expect(' 0 1 2 3'.startsWith(text) && text !== '').toBe(true);
    expect(connection.producedTokens).toBe(true);
    await expect(connection.call('ping', {})).rejects.toMatchObject({ code: 'engine.died' });
  });

  it('names the last log line of an engine that ended', async () => {
    await expect(connect({ after: 'exit' }).call('generate', prompt)).rejects.toMatchObject({ message: expect.stringContaining('"std::bad_alloc"') });
  });

  it('rejects calls to a program that does not exist', async () => {
    const connection = new EngineConnection({ command: '/does/not/exist' });
    await expect(connection.call('ping', {})).rejects.toMatchObject({ code: 'engine.died', message: expect.stringContaining('could not be started') });
    expect(connection.processId).toBeNull();
  });

  it('shuts down gracefully, and kills what does not end', async () => {
    const good = connect();
    await good.call('ping', {});
    await good.shutdown(5000, 'the test is over');
    expect(await good.ended).toMatchObject({ code: 0, signal: null });
    const stubborn = connect({ stubborn: true });
    await stubborn.call('ping', {});
    await stubborn.shutdown(50, 'the test is over');
    expect(await stubborn.ended).toMatchObject({ signal: 'SIGKILL' });
  });
});
