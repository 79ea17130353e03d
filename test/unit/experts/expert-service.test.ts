import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { TokenPiece } from '../../../main/engine/engine.ts';
import { ExpertService } from '../../../main/experts/expert-service.ts';
import type { GenerationRun, UsageRecorder } from '../../../main/generation/usage-sink.ts';
import type { Database } from '../../../main/storage/database.ts';
import { EngineDouble, loadedModel, pieces, routesFrame, routingFrame } from '../../support/engine-double.ts';
import { openMemoryDatabase } from '../../support/memory-database.ts';

let database: Database;
let engine: EngineDouble;
let experts: ExpertService;

beforeEach(async () => {
  database = openMemoryDatabase();
  engine = new EngineDouble({ 'model.detokenize': ({ tokens }) => ({ text: String(tokens).replace(/(\d+),?/g, '<$1>') }) });
  experts = new ExpertService({ database, engine });
  await database.run("INSERT INTO chats (id, title, title_by_user, system_prompt, parameters, created_at, updated_at) VALUES ('c', '', 0, '', '{}', 1, 1)");
  for (const id of ['m1', 'm2']) {
    const columns = 'id, chat_id, role, text, reasoning, tool_calls, state, has_routes, created_at';
    await database.run(`INSERT INTO messages (${columns}) VALUES (?, 'c', 'assistant', '', '', '[]', 'streaming', 0, 1)`, [id]);
  }
});

function begin(changes: Partial<GenerationRun> = {}): UsageRecorder {
  return experts.record({ modelId: 'double', loaded: loadedModel(), chatId: 'c', messageId: 'm1', routes: false, ...changes });
}

/** A prompt of 3 tokens at positions 0..2, then one frame per generated token. */
async function generate(
  recorder: UsageRecorder,
  tokens: TokenPiece[],
  options: { firstPosition?: number; evaluatedPrompt?: number | null } = {},
): Promise<void> {
  const { firstPosition = 0, evaluatedPrompt = 3 } = options;
  recorder.onRoutes(routesFrame(firstPosition, [100, 101, 102]));
  recorder.onRouting(routingFrame(3, [[0, 3, 1.5]]));
  tokens.forEach((token, index) => {
    recorder.onTokens([token]);
    recorder.onRoutes(routesFrame(firstPosition + 3 + index, [token.id]));
    recorder.onRouting(routingFrame(1, [[7, 1, 0.25]]));
  });
  await recorder.finish(evaluatedPrompt);
}

describe('experts.usage', () => {
  it('counts for the model, the conversation and the message', async () => {
    await generate(begin(), pieces('a', 'b'));
    await generate(begin({ messageId: 'm2' }), pieces('c'));
    await generate(begin({ chatId: null, messageId: null }), pieces('d'));
    const usage = async (kind: 'model' | 'chat' | 'message', id: string) => (await experts.handlers['experts.usage']({ scope: { kind, id } }))?.counts;
    expect(await usage('message', 'm1')).toEqual([3, 0, 0, 0, 0, 0, 0, 2]);
    expect(await usage('chat', 'c')).toEqual([6, 0, 0, 0, 0, 0, 0, 3]);
    expect(await usage('model', 'double')).toEqual([9, 0, 0, 0, 0, 0, 0, 4]);
    expect(await experts.usage({ kind: 'message', id: 'm1' })).toEqual({
      modelId: 'double',
      moeLayers: [1, 3],
      expertCount: 4,
      expertUsedCount: 2,
      tokens: 5,
      counts: [3, 0, 0, 0, 0, 0, 0, 2],
      weights: [1.5, 0, 0, 0, 0, 0, 0, 0.5],
    });
  });

  it('knows nothing of what was not counted', async () => {
    await begin().finish(null);
    for (const kind of ['model', 'chat', 'message'] as const) expect(await experts.usage({ kind, id: 'unknown' })).toBeNull();
    expect(await experts.usage({ kind: 'message', id: 'm1' })).toBeNull();
  });

  it('includes a generation that runs, and counts it once while it is being stored', async () => {
    await generate(begin({ messageId: 'm2' }), pieces('a'));
    const recorder = begin();
    recorder.onRouting(routingFrame(3, [[0, 3, 1.5]]));
    expect((await experts.usage({ kind: 'chat', id: 'c' }))?.tokens).toBe(4 + 3);
    const finished = recorder.finish(3);
    const during = await Promise.all(Array.from({ length: 10 }, (_, turns) => later(turns).then(() => experts.usage({ kind: 'chat', id: 'c' }))));
    await finished;
    expect(during.map((usage) => usage?.tokens)).toEqual(during.map(() => 7));
    expect((await experts.usage({ kind: 'message', id: 'm1' }))?.tokens).toBe(3);
  });

  it("starts a model's counters anew when it is loaded again or unloaded", async () => {
    const loaded = loadedModel();
    await generate(begin({ loaded }), []);
    await generate(begin({ loaded }), []);
    expect((await experts.usage({ kind: 'model', id: 'double' }))?.tokens).toBe(6);
    await generate(begin({ loaded: loadedModel({ loadMilliseconds: 6 }) }), []);
    expect((await experts.usage({ kind: 'model', id: 'double' }))?.tokens).toBe(3);
    experts.resetModel('double');
    expect(await experts.usage({ kind: 'model', id: 'double' })).toBeNull();
  });

  it("sums a conversation over its latest model's messages only", async () => {
    await generate(begin(), pieces('a'));
    await generate(begin({ messageId: 'm2', modelId: 'other' }), []);
    expect(await experts.usage({ kind: 'chat', id: 'c' })).toMatchObject({ modelId: 'other', tokens: 3 });
  });

  it('goes with its message', async () => {
    await generate(begin({ routes: true }), pieces('a'));
    await database.run("DELETE FROM messages WHERE id = 'm1'");
    expect(await experts.usage({ kind: 'chat', id: 'c' })).toBeNull();
    expect(await database.get('SELECT count(*) AS n FROM message_routes')).toEqual({ n: 0 });
  });

  it('stores nothing for a message that was deleted meanwhile', async () => {
    const recorder = begin({ routes: true });
    await database.run("DELETE FROM messages WHERE id = 'm1'");
    await generate(recorder, pieces('a'));
    expect(await database.get('SELECT (SELECT count(*) FROM message_usage) + (SELECT count(*) FROM message_routes) AS n')).toEqual({ n: 0 });
  });

  it('logs, and does not fail, when the database refuses', async () => {
    const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
    experts = new ExpertService({ database: { ...database, transaction: () => Promise.reject(new Error('disk full')) }, engine, logger });
    await generate(begin(), pieces('a'));
    expect(logger.error).toHaveBeenCalledWith('expert usage of message m1 was not stored: disk full');
    expect(await experts.usage({ kind: 'message', id: 'm1' })).toBeNull();
  });
});

describe('experts.tokens', () => {
  const page = (offset = 0, limit = 1024) => experts.handlers['experts.tokens']({ messageId: 'm1', offset, limit });

  it('gives prompt and generated tokens with their texts, experts and weights', async () => {
    await generate(begin({ routes: true }), pieces('Hel', 'lo'));
    const { tokens, ...rest } = await page();
    expect(rest).toEqual({ total: 5, omitted: 0, moeLayers: [1, 3], expertUsedCount: 2 });
    expect(tokens.map(({ position, tokenId, text, prompt }) => [position, tokenId, text, prompt])).toEqual([
      [0, 100, '<100>', true],
      [1, 101, '<101>', true],
      [2, 102, '<102>', true],
      [3, 0, 'Hel', false],
      [4, 1, 'lo', false],
    ]);
    expect(tokens[1]).toMatchObject({
      experts: [
        [1, 2],
        [1, 2],
      ],
      weights: [
        [0.75, 0.25],
        [0.75, 0.25],
      ],
    });
  });

  it('needs no engine once it is stored', async () => {
    await generate(begin({ routes: true }), pieces('a'));
    engine.answers['model.detokenize'] = () => Promise.reject(new Error('gone'));
    expect((await page()).tokens.map((token) => token.text)).toEqual(['<100>', '<101>', '<102>', 'a']);
  });

  it('asks the engine once for the text of a token', async () => {
    await generate(begin({ routes: true }), []);
    await generate(begin({ routes: true, messageId: 'm2' }), []);
    expect(engine.calls).toHaveLength(3);
  });

  it('keeps the space that a token starts with, which SentencePiece drops at the start of a text', async () => {
    engine.answers['model.detokenize'] = ({ tokens }) => ({
      text: String(tokens)
        .replace(/(\d+),?/g, ' $1')
        .slice(1),
    });
    await generate(begin({ routes: true }), []);
    expect((await page()).tokens.map((token) => token.text)).toEqual([' 100', ' 101', ' 102']);
  });

  it('pages over rows', async () => {
    await generate(begin({ routes: true }), pieces(...Array.from({ length: 700 }, (_, index) => `t${index}`)));
    const rows = await database.all<{ token_count: number }>('SELECT token_count FROM message_routes ORDER BY first_token');
    expect(rows.map((row) => row.token_count)).toEqual([3, 256, 256, 188]);
    const all = (await page()).tokens;
    expect(all.slice(3).map((token) => token.text)).toEqual(Array.from({ length: 700 }, (_, index) => `t${index}`));
    for (const [offset, limit] of [
      [0, 2],
      [2, 2],
      [258, 3],
      [250, 300],
      [702, 10],
      [703, 10],
    ] as const) {
      expect(await page(offset, limit)).toMatchObject({ total: 703, tokens: all.slice(offset, offset + limit) });
    }
  });

  it('tells prompt from reply without the engine when that died', async () => {
    await generate(begin({ routes: true }), pieces('a', 'b'), { evaluatedPrompt: null });
    expect((await page()).tokens.map(({ prompt, text }) => [prompt, text])).toEqual([
      [true, '<100>'],
      [true, '<101>'],
      [true, '<102>'],
      [false, 'a'],
      [false, 'b'],
    ]);
  });

  it('knows the prompt by its length when tokens are told of before the routes of the prompt', async () => {
    for (const evaluatedPrompt of [null, 3]) {
      const messageId = evaluatedPrompt === null ? 'm1' : 'm2';
      const recorder = begin({ routes: true, messageId });
      const [a, b] = pieces('a', 'b') as [TokenPiece, TokenPiece]; // two texts, two pieces
      recorder.onTokens([a]);
      recorder.onRoutes(routesFrame(0, [100, 101, 102]));
      recorder.onTokens([b]);
      recorder.onRoutes(routesFrame(3, [a.id]));
      recorder.onRouting(routingFrame(4, [[0, 4, 1]]));
      await recorder.finish(evaluatedPrompt);
      const { tokens } = await experts.handlers['experts.tokens']({ messageId, offset: 0, limit: 100 });
      expect(tokens.map(({ prompt, text }) => [prompt, text])).toEqual([
        [true, '<100>'],
        [true, '<101>'],
        // not known to be the prompt's until the engine says so
        [true, evaluatedPrompt === null ? '' : '<102>'],
        [false, 'a'],
      ]);
    }
  });

  it('keeps both generations of a message that was continued', async () => {
    await generate(begin({ routes: true }), pieces('a'));
    await generate(begin({ routes: true }), pieces('b'), { firstPosition: 4 });
    const { tokens, total } = await page();
    expect(total).toBe(8);
    expect(tokens.map((token) => token.position)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(tokens.filter((token) => !token.prompt).map((token) => token.text)).toEqual(['a', 'b']);
    expect((await experts.usage({ kind: 'message', id: 'm1' }))?.tokens).toBe(8);
  });

  it("keeps the latest model's alone when another continues a message", async () => {
    await generate(begin({ routes: true }), pieces('a'));
    await generate(begin({ routes: true, modelId: 'other' }), pieces('b', 'c'));
    expect(await page()).toMatchObject({ total: 5, tokens: expect.objectContaining({ length: 5 }) });
    expect(await experts.usage({ kind: 'message', id: 'm1' })).toMatchObject({ modelId: 'other', tokens: 5 });
  });

  it('marks experts that were not computed with -1', async () => {
    const recorder = begin({ routes: true });
    const frame = routesFrame(0, [1]);
    frame.experts.fill(0xffff, 2);
    frame.weights.fill(0, 2);
    recorder.onRoutes(frame);
    recorder.onRouting(routingFrame(1, [[0, 1, 1]]));
    await recorder.finish(1);
    expect((await page()).tokens[0]?.experts).toEqual([
      [1, 2],
      [-1, -1],
    ]);
  });

  it('keeps 16,384 tokens of a generation and says how many it left out', async () => {
    const recorder = begin({ routes: true });
    for (let chunk = 0; chunk < 33; chunk++)
      recorder.onRoutes(
        routesFrame(
          chunk * 512,
          Array.from({ length: 512 }, () => 5),
        ),
      );
    recorder.onRouting(routingFrame(33 * 512, [[0, 1, 1]]));
    await recorder.finish(33 * 512);
    expect(await page(16_380, 10)).toMatchObject({ total: 16_384, omitted: 512, tokens: expect.objectContaining({ length: 4 }) });
  });

  it('has none for a message that was not recorded', async () => {
    await generate(begin({ routes: false }), pieces('a'));
    expect(await page()).toMatchObject({ total: 0, tokens: [] });
    expect(engine.calls).toEqual([]);
  });

  it('reports a damaged record instead of showing wrong experts', async () => {
    await generate(begin({ routes: true }), []);
    await database.run('UPDATE message_routes SET record = zeroblob(length(record))');
    await expect(page()).rejects.toMatchObject({ code: 'file.corrupt', message: expect.stringContaining('tokens 0 to 2') });
  });
});

/** Resolves after some turns of the microtask queue. */
async function later(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
}
