import { describe, expect, it } from 'vitest';
import type { AdapterChoice, ModelAdapter } from '../../../main/contract/index.ts';
import { silentLogger } from '../../../main/engine/log.ts';
import type { GenerationRequest } from '../../../main/generation/generation.ts';
import { buildApi } from '../../../main/server/api/api-server.ts';
import { generateResult } from '../../support/engine-double.ts';
import { loadedModel, modelCard } from '../../support/models.ts';

const content = { tensorCount: 2, parameterCount: 10, loraRankLeast: 4, loraRankMost: 4, loraAlpha: 8, changesExperts: true, changesRouter: false, bytes: 40 };
const adapter = (id: string, number: number, scale: number): ModelAdapter => ({
  id,
  number,
  modelId: 'tiny-moe',
  path: `/a/${id}.gguf`,
  name: id,
  scale,
  content,
  problem: null,
});

function bench(known = [adapter('pirate', 0, 0), adapter('formal', 3, 0.5)]) {
  const requests: GenerationRequest[] = [];
  const set: { modelId: string; choices: AdapterChoice[] }[] = [];
  const app = buildApi(
    {
      port: 0,
      cards: () => [modelCard('tiny-moe'), modelCard('small')],
      engineStatus: () => ({ state: 'ready', processId: 1, restarts: 0, llamaVersion: '0', backends: [], error: null }),
      keyMatches: null,
      logger: silentLogger,
      models: { acquire: async (id) => ({ card: modelCard(id), loaded: loadedModel(1) }), loadedIds: () => ['tiny-moe'] },
      adapters: {
        list: (modelId) => known.filter((one) => one.modelId === modelId),
        setScales: async (modelId, choices) => void set.push({ modelId, choices }),
      },
      generations: {
        start: (request) => {
          requests.push(request);
          return { done: Promise.resolve({ ...generateResult(), text: 'Ahoy', usage: null, adapters: [] }), cancel: () => {} };
        },
      },
    },
    () => 8674,
  );
  const call = (method: 'GET' | 'POST', url: string, body?: unknown) =>
    app.inject({
      method,
      url,
      headers: { host: '127.0.0.1:8674', ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { payload: JSON.stringify(body) }),
    });
  const chat = (body: object) => call('POST', '/v1/chat/completions', { model: 'tiny-moe', messages: [{ role: 'user', content: 'Hi' }], ...body });
  return { requests, set, call, chat };
}

describe('a request with `lora`', () => {
  it('names adapters by number, as with llama-server, or by id', async () => {
    const b = bench();
    await b.chat({
      lora: [
        { id: 3, scale: 0.25 },
        { id: 'pirate', scale: -1 },
      ],
    });
    expect(b.requests[0]?.adapters).toEqual([
      { id: 'formal', scale: 0.25 },
      { id: 'pirate', scale: -1 },
    ]);
    await b.chat({ lora: [] });
    expect(b.requests[1]?.adapters).toEqual([]);
    await b.chat({ lora: null });
    expect(b.requests[2]?.adapters).toBeUndefined();
  });

  it('can name the adapter with the model, which the answer repeats', async () => {
    const b = bench();
    const reply = await b.chat({ model: 'tiny-moe:pirate' });
    expect(reply.json()).toMatchObject({ model: 'tiny-moe:pirate' });
    expect(b.requests[0]).toMatchObject({ modelId: 'tiny-moe', adapters: [{ id: 'pirate', scale: 1 }] });
    await b.chat({ model: 'tiny-moe:pirate', lora: [{ id: 3, scale: 1 }] });
    expect(b.requests[1]?.adapters).toEqual([{ id: 'formal', scale: 1 }]);
  });

  it.each([
    ['an unknown number', { lora: [{ id: 1, scale: 1 }] }, 404],
    ['an unknown id', { lora: [{ id: 'nobody', scale: 1 }] }, 404],
    ['an unknown adapter of a model', { model: 'tiny-moe:nobody' }, 404],
    ["another model's adapter", { model: 'small', lora: [{ id: 'pirate', scale: 1 }] }, 404],
    ['one twice', { lora: [{ id: 0, scale: 1 }, { id: 'pirate', scale: 1 }] }, 400], // biome-ignore format: one line a case
    ['no scale', { lora: [{ id: 0 }] }, 400],
    ['a scale that is too large', { lora: [{ id: 0, scale: 101 }] }, 400],
    ['a scale that is no number', { lora: [{ id: 0, scale: 'much' }] }, 400],
    ['more than 16', { lora: Array(17).fill({ id: 0, scale: 1 }) }, 400],
    ['no list', { lora: { id: 0, scale: 1 } }, 400],
  ])('refuses %s', async (_, body, status) => {
    const b = bench();
    const reply = await b.chat(body);
    expect(reply.statusCode).toBe(status);
    expect(reply.json().error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
    expect(b.requests).toEqual([]);
  });

  it('refuses numbers beyond what JSON has', async () => {
    const b = bench();
    const reply = await b.call('POST', '/v1/chat/completions', {
      model: 'tiny-moe',
      messages: [{ role: 'user', content: 'Hi' }],
      lora: [{ id: 0, scale: Number.POSITIVE_INFINITY }],
    });
    expect(reply.statusCode).toBe(400); // it arrives as null
  });
});

describe('/lora-adapters', () => {
  it('lists them with the scales of requests that say nothing', async () => {
    expect((await bench().call('GET', '/lora-adapters')).json()).toEqual([
      { id: 0, path: '/a/pirate.gguf', scale: 0, name: 'pirate', model: 'tiny-moe:pirate' },
      { id: 3, path: '/a/formal.gguf', scale: 0.5, name: 'formal', model: 'tiny-moe:formal' },
    ]);
    expect((await bench().call('GET', '/lora-adapters?model=small')).json()).toEqual([]);
  });

  it('sets these scales', async () => {
    const b = bench();
    expect((await b.call('POST', '/lora-adapters', [{ id: 3, scale: 2 }])).json()).toEqual({ success: true });
    expect(b.set).toEqual([{ modelId: 'tiny-moe', choices: [{ id: 'formal', scale: 2 }] }]);
    expect((await b.call('POST', '/lora-adapters', [{ id: 9, scale: 2 }])).statusCode).toBe(404);
    expect((await b.call('POST', '/lora-adapters', { id: 3, scale: 2 })).statusCode).toBe(400);
    expect((await b.call('POST', '/lora-adapters?model=', [])).statusCode).toBe(400);
    expect(b.set).toHaveLength(1);
  });
});

describe('/v1/models', () => {
  it('has each adapter as a model of its own', async () => {
    const b = bench();
    const models = (await b.call('GET', '/v1/models')).json().data;
    expect(models.map(({ id }: { id: string }) => id)).toEqual(['tiny-moe', 'tiny-moe:pirate', 'tiny-moe:formal', 'small']);
    expect((await b.call('GET', '/v1/models/tiny-moe:pirate')).json()).toMatchObject({
      id: 'tiny-moe:pirate',
      object: 'model',
      parent: 'tiny-moe',
      root: '/a/pirate.gguf',
    });
    expect((await b.call('GET', '/v1/models/tiny-moe:nobody')).statusCode).toBe(404);
  });
});
