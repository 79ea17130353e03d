import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import { type EngineStatus, MoebiusError } from '../../../main/contract/index.ts';
import type { TokenPiece } from '../../../main/engine/engine.ts';
import { silentLogger } from '../../../main/engine/log.ts';
import type { GenerationHandlers, GenerationOutcome, GenerationRequest } from '../../../main/generation/generation.ts';
import { keyMatches, storeKey } from '../../../main/server/api/api-key.ts';
import { type ApiServerOptions, buildApi } from '../../../main/server/api/api-server.ts';
import { loadedModel, modelCard } from '../../support/models.ts';

const HOST = { host: '127.0.0.1:8674' };
const messages = [{ role: 'user', content: 'Hi' }];
const ready: EngineStatus = { state: 'ready', processId: 1, restarts: 0, llamaVersion: '0.5.0', backends: ['CPU'], error: null };

const piece = (text: string, logprob: number | null = null): TokenPiece => ({ id: 1, text, logprob, endOfGeneration: false, top: [] });
const outcome: GenerationOutcome = {
  text: 'Hello there',
  usage: null,
  finishReason: 'stop',
  stopString: null,
  promptTokens: 5,
  cachedTokens: 2,
  tokens: 3,
  shiftedTokens: 0,
  seed: 1,
  queueMilliseconds: 0,
  promptMilliseconds: 1,
  decodeMilliseconds: 2,
  timeToFirstTokenMilliseconds: 1,
  lossy: null,
  adapters: [],
  message: { content: 'Hello there', reasoningContent: '', toolCalls: [] },
};

let requests: GenerationRequest[];
let behave: (handlers: GenerationHandlers) => Promise<GenerationOutcome>;

function api(change: Partial<ApiServerOptions> = {}): FastifyInstance {
  const options: ApiServerOptions = {
    port: 0,
    cards: () => [
      modelCard('tiny-moe', { defaults: { sampling: { topK: 7 }, maxTokens: 99 } }),
      modelCard('broken', { problem: { code: 'file.truncated', message: 'cut' } }),
    ],
    engineStatus: () => ready,
    keyMatches: null,
    logger: silentLogger,
    models: {
      acquire: async (id) => {
        if (id !== 'tiny-moe') throw new MoebiusError('model.not-found', `There is no model "${id}".`);
        return { card: modelCard(id, { defaults: { sampling: { topK: 7 }, maxTokens: 99 } }), loaded: loadedModel(1) };
      },
      loadedIds: () => ['tiny-moe'],
    },
    adapters: { list: () => [], setScales: async () => {} },
    generations: {
      start: (request, handlers = {}) => {
        requests.push(request);
        return { done: behave(handlers), cancel: () => {} };
      },
    },
    ...change,
  };
  return buildApi(options, () => 8674);
}

const post = (app: FastifyInstance, body: unknown, headers: Record<string, string> = {}) =>
  app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    headers: { ...HOST, 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(body),
  });

const chunks = (text: string) =>
  text
    .split('\n\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^data: /, ''));

beforeEach(() => {
  requests = [];
  behave = async (handlers) => {
    handlers.onTokens?.([piece('Hello', -0.5)]);
    handlers.onTokens?.([piece(' there', -0.25)]);
    return outcome;
  };
});

describe('POST /v1/chat/completions', () => {
  it('answers with one object', async () => {
    const reply = await post(api(), { model: 'tiny-moe', messages });
    expect(reply.statusCode).toBe(200);
    expect(reply.json()).toMatchObject({
      object: 'chat.completion',
      model: 'tiny-moe',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8, prompt_tokens_details: { cached_tokens: 2 } },
    });
  });

  it('streams role, text, finish reason, usage and [DONE], all with one id', async () => {
    const reply = await post(api(), { model: 'tiny-moe', messages, stream: true, stream_options: { include_usage: true } });
    expect(reply.headers['content-type']).toContain('text/event-stream');
    const lines = chunks(reply.body);
    expect(lines.pop()).toBe('[DONE]');
    const parsed = lines.map((line) => JSON.parse(line));
    expect(new Set(parsed.map((part) => part.id)).size).toBe(1);
    expect(parsed.map((part) => part.choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: 'Hello' },
      { content: ' there' },
      {},
      undefined,
    ]);
    expect(parsed.map((part) => part.choices[0]?.finish_reason)).toEqual([null, null, null, 'stop', undefined]);
    expect(parsed.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 8 } });
  });

  it('passes parameters on, over the defaults of the model', async () => {
    await post(api(), {
      model: 'tiny-moe',
      messages,
      seed: -1,
      temperature: 0,
      stop: 'x',
      max_tokens: 4,
      logit_bias: { 5: -100 },
      response_format: { type: 'json_object' },
      user: 'someone',
    });
    expect(requests[0]).toMatchObject({
      maxTokens: 4,
      stop: ['x'],
      sampling: { topK: 7, seed: 4294967295, temperature: 0, logitBias: [{ token: 5, bias: -100 }], jsonSchema: { type: 'object' } },
    });
    await post(api(), {
      model: 'tiny-moe',
      messages: [
        {
          role: 'developer',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
      ],
    });
    expect(requests[1]).toMatchObject({ maxTokens: 99, input: { chat: { messages: [{ role: 'system', content: 'ab' }] } } });
  });

  it('gives logprobs when asked', async () => {
    const reply = await post(api(), { model: 'tiny-moe', messages, logprobs: true });
    expect(reply.json().choices[0].logprobs.content).toMatchObject([
      { token: 'Hello', logprob: -0.5 },
      { token: ' there', logprob: -0.25 },
    ]);
    expect(requests[0]?.logprobs).toBe(0);
  });

  it('returns tool calls, whole, also in a stream', async () => {
    behave = async (handlers) => {
      handlers.onTokens?.([piece('<tool_call>')]);
      return { ...outcome, message: { content: '', reasoningContent: '', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Bern"}' }] } };
    };
    const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
    const whole = (await post(api(), { model: 'tiny-moe', messages, tools })).json();
    expect(whole.choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: { tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Bern"}' } }] },
    });
    const streamed = chunks((await post(api(), { model: 'tiny-moe', messages, tools, stream: true })).body);
    expect(streamed.join('')).not.toContain('<tool_call>');
    expect(JSON.parse(streamed.at(-2) ?? '').choices[0]).toMatchObject({ delta: { tool_calls: [{ index: 0, id: 'call_1' }] }, finish_reason: 'tool_calls' });
  });

  it.each([
    [{ messages }, 'model'],
    [{ model: 'tiny-moe' }, 'messages'],
    [{ model: 'tiny-moe', messages: [] }, 'messages'],
    [{ model: 'tiny-moe', messages, n: 2 }, 'n'],
    [{ model: 'tiny-moe', messages, temperature: 'hot' }, 'temperature'],
    [{ model: 'tiny-moe', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'http://x' } }] }] }, 'messages.0.content'],
    [{ model: 'tiny-moe', messages, logit_bias: { abc: 1 } }, 'logit_bias.abc'],
    [[], null],
    ['text', null],
  ])('refuses %j with 400 naming %s', async (body, param) => {
    const reply = await post(api(), body);
    expect(reply.statusCode).toBe(400);
    expect(reply.json().error).toMatchObject({ type: 'invalid_request_error', param });
    expect(requests).toEqual([]);
  });

  it('answers bad JSON, wrong content type and unknown paths in the same shape', async () => {
    const app = api();
    const bad = await app.inject({
      method: 'POST',
      url: '/v1/chat/completions',
      headers: { ...HOST, 'content-type': 'application/json' },
      payload: '{"model":',
    });
    expect([bad.statusCode, bad.json().error.type]).toEqual([400, 'invalid_request_error']);
    const plain = await app.inject({ method: 'POST', url: '/v1/chat/completions', headers: { ...HOST, 'content-type': 'text/plain' }, payload: '{}' });
    expect(plain.statusCode).toBe(415);
    const lost = await app.inject({ method: 'GET', url: '/v1/nothing', headers: HOST });
    expect([lost.statusCode, lost.json().error.type]).toEqual([404, 'not_found_error']);
  });

  it('tells unknown models, a full context and a dead engine apart', async () => {
    const unknown = await post(api(), { model: 'gpt-4', messages });
    expect([unknown.statusCode, unknown.json().error.code]).toEqual([404, 'model_not_found']);
    behave = async () => {
      throw new MoebiusError('prompt.too-long', 'The prompt has 600 tokens and the context 512.', { details: { promptTokens: 600, contextLength: 512 } });
    };
    const long = await post(api(), { model: 'tiny-moe', messages, stream: true });
    expect([long.statusCode, long.json().error]).toMatchObject([400, { code: 'context_length_exceeded', n_prompt_tokens: 600, n_ctx: 512 }]);
    behave = async () => {
      throw new MoebiusError('engine.died', 'The engine ended.');
    };
    const dead = await post(api(), { model: 'tiny-moe', messages });
    expect([dead.statusCode, dead.headers['retry-after']]).toEqual([503, '1']);
  });

  it('tells a failure after the first token inside the stream, without [DONE]', async () => {
    behave = async (handlers) => {
      handlers.onTokens?.([piece('Hel')]);
      throw new MoebiusError('engine.died', 'The engine ended.');
    };
    const lines = chunks((await post(api(), { model: 'tiny-moe', messages, stream: true })).body);
    expect(JSON.parse(lines.at(-1) ?? '').error).toMatchObject({ code: 'engine.died' });
  });
});

describe('access', () => {
  it.each<Record<string, string>>([
    { host: 'evil.example' },
    { host: '127.0.0.1:8674', origin: 'http://evil.example' },
    { host: '127.0.0.1:8674', origin: 'null' },
  ])('refuses %j with 403 before any token is made', async (headers) => {
    const reply = await post(api(), { model: 'tiny-moe', messages }, headers);
    expect([reply.statusCode, reply.json().error.type, requests]).toEqual([403, 'permission_error', []]);
  });

  it('wants the key where one is set, except for /health', async () => {
    const stored = storeKey('a-long-enough-secret');
    const app = api({ keyMatches: (key) => keyMatches(stored, key) });
    expect((await post(app, { model: 'tiny-moe', messages })).statusCode).toBe(401);
    expect((await post(app, { model: 'tiny-moe', messages }, { authorization: 'Bearer wrong' })).statusCode).toBe(401);
    expect((await post(app, { model: 'tiny-moe', messages }, { authorization: 'Bearer a-long-enough-secret' })).statusCode).toBe(200);
    expect((await app.inject({ url: '/health', headers: HOST })).statusCode).toBe(200);
    expect(JSON.stringify(stored)).not.toContain('secret');
  });
});

describe('GET', () => {
  it('/v1/models lists the usable ones', async () => {
    const list = (await api().inject({ url: '/v1/models', headers: HOST })).json();
    expect(list).toMatchObject({ object: 'list', data: [{ id: 'tiny-moe', object: 'model', created: 1_700_000_000, owned_by: 'moebius' }] });
    expect(list.data).toHaveLength(1);
  });

  it('/v1/models/{id} gives one or 404', async () => {
    expect((await api().inject({ url: '/v1/models/tiny-moe', headers: HOST })).json().id).toBe('tiny-moe');
    expect((await api().inject({ url: '/v1/models/other', headers: HOST })).statusCode).toBe(404);
  });

  it('/health tells the engine state', async () => {
    expect((await api().inject({ url: '/health', headers: HOST })).json()).toEqual({ status: 'ok', models: ['tiny-moe'] });
    const restarting = api({ engineStatus: () => ({ ...ready, state: 'restarting' }) });
    expect((await restarting.inject({ url: '/health', headers: HOST })).json().status).toBe('restarting');
  });
});
