// Adapters as users have them: trained, exported, and switched by the command line and by clients of the endpoint, with the real engine.
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelAdapter } from '../../main/contract/index.ts';
import { CoreClient } from '../support/core-client.ts';
import { moebius } from '../support/moebius.ts';
import { type Served, startServe } from '../support/serve.ts';
import { type TrainedAdapter, trainAdapter } from '../support/trained-adapter.ts';

let made: TrainedAdapter;
beforeAll(async () => {
  made = await trainAdapter();
});
afterAll(() => made?.remove());

const PROMPT = 'What is 7 in Roman numerals?';
const greedy = ['--prompt', PROMPT, '--chat', '--temperature', '0', '--max-tokens', '16', '--threads', '1', '--ignore-eos', '--json'];

async function generate(model: string[], ...flags: string[]) {
  const { code, stdout, stderr } = await moebius(['generate', ...model, ...greedy, ...flags]);
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as { text: string; adapters: unknown[]; expertUsage: number[][] }; // what `generate --json` prints
}

describe('moebius generate --adapter', () => {
  it('is the merged model when it is on, and the base when its scale is 0, wherever experts are', async () => {
    const { base, merged } = await made.models();
    const kv = ['--kv-type', 'f32', '--flash-attention', 'off'];
    const expected = { on: await generate([merged], ...kv), off: await generate([base], ...kv) };
    expect(expected.on.text).not.toBe(expected.off.text);
    for (const place of [[], ['--expert-ram', '24000000']]) {
      const on = await generate([base], ...kv, ...place, '--adapter', made.file);
      expect([on.text, on.expertUsage]).toEqual([expected.on.text, expected.on.expertUsage]);
      expect(on.adapters).toEqual([{ id: 'roman', name: 'roman', scale: 1 }]);
      expect((await generate([base], ...kv, ...place, '--adapter', `${made.file}:0`)).text).toBe(expected.off.text);
    }
  });

  it('says what is wrong with a file', async () => {
    const failed = async (...flags: string[]) => {
      const { code, stderr } = await moebius(['generate', ...greedy, ...flags]);
      return { code, error: code === 1 ? JSON.parse(stderr) : stderr };
    };
    expect(await failed('--adapter', made.damaged)).toMatchObject({ code: 1, error: { code: 'file.truncated' } });
    expect(await failed('--adapter', made.foreign)).toMatchObject({
      code: 1,
      error: { code: 'request.invalid', message: expect.stringContaining('qwen2moe') },
    });
    expect(await failed('--adapter', `${made.file}:101`)).toMatchObject({ code: 2, error: expect.stringContaining('-100 to 100') });
    expect(await failed('--adapter', `${made.folder}/none.gguf`)).toMatchObject({ code: 1, error: { code: 'file.not-found' } });
  });
});

describe('moebius serve with an adapter', () => {
  let served: Served;
  let core: CoreClient;
  let client: OpenAI;
  let off: string;
  let on: string;

  beforeAll(async () => {
    served = await startServe({ flags: ['--api', '--api-port', '0', '--adapter', `${made.file}:0`] });
    core = await CoreClient.connect(served.url);
    await core.call('models.load', { id: 'tiny-moe', options: { threads: 1 } });
    client = new OpenAI({ baseURL: served.apiUrl ?? '', apiKey: 'not-needed', maxRetries: 0 });
    off = await ask({});
    on = await ask({ model: 'tiny-moe:roman' });
  });
  afterAll(async () => {
    core?.close();
    await served?.stop();
  });

  async function ask(more: object): Promise<string> {
    const body = { model: 'tiny-moe', messages: [{ role: 'user' as const, content: PROMPT }], temperature: 0, max_tokens: 16, ...more };
    return (await client.chat.completions.create(body)).choices[0]?.message.content ?? '';
  }
  const origin = () => new URL(served.apiUrl ?? '').origin;

  it('answers differently with it, by name of the model or per request, and as before without', async () => {
    expect(on).not.toBe(off);
    expect((await client.models.list()).data.map(({ id }) => id)).toContain('tiny-moe:roman');
    for (let round = 0; round < 2; round += 1) {
      expect(await ask({ lora: [{ id: 0, scale: 1 }] })).toBe(on);
      expect(await ask({ lora: [{ id: 'roman', scale: 0 }] })).toBe(off);
      expect(await ask({ lora: [] })).toBe(off);
    }
  });

  it('serves requests with and without it at once', async () => {
    const both = await Promise.all(['tiny-moe', 'tiny-moe:roman', 'tiny-moe', 'tiny-moe:roman'].map((model) => ask({ model })));
    expect(both).toEqual([off, on, off, on]);
  });

  it('has it on for everybody when it is told so', async () => {
    const listed = await (await fetch(`${origin()}/lora-adapters`)).json();
    expect(listed).toEqual([{ id: 0, path: made.file, scale: 0, name: 'roman', model: 'tiny-moe:roman' }]);
    const set = (scale: number) =>
      fetch(`${origin()}/lora-adapters`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify([{ id: 0, scale }]) });
    expect((await set(1)).status).toBe(200);
    expect(await ask({})).toBe(on);
    expect((await set(0)).status).toBe(200);
    expect(await ask({})).toBe(off);
  });

  it('gives trials side by side, one with it and one without', async () => {
    const trial = (ticket: string, adapters: { id: string; scale: number }[]) =>
      core.call('trials.run', {
        ticket,
        modelId: 'tiny-moe',
        input: { chat: { messages: [{ role: 'user', content: PROMPT }] } },
        parameters: { maxTokens: 16, sampling: { temperature: 0 }, adapters },
      });
    const [without, with_] = await Promise.all([trial('a', []), trial('b', [{ id: 'roman', scale: 1 }])]);
    expect([without.text, with_.text]).toEqual([off, on]);
    expect(with_.adapters).toEqual([{ id: 'roman', name: 'roman', scale: 1 }]);
  });

  it('refuses what it cannot do, in the words of OpenAI clients', async () => {
    await expect(ask({ lora: [{ id: 7, scale: 1 }] })).rejects.toMatchObject({ status: 404, message: expect.stringContaining('0 (roman)') });
    await expect(ask({ model: 'tiny-moe:nobody' })).rejects.toMatchObject({ status: 404 });
    await expect(ask({ lora: [{ id: 0, scale: 1e9 }] })).rejects.toMatchObject({ status: 400 });
    const add = (path: string): Promise<ModelAdapter> => core.call('adapters.add', { modelId: 'tiny-moe', path });
    await expect(add(made.damaged)).rejects.toMatchObject({ code: 'file.truncated' });
    await expect(add(made.foreign)).rejects.toMatchObject({ code: 'request.invalid' });
    expect(await core.call('adapters.list', {})).toHaveLength(1);
  });

  it('brings it back behind a death of the engine', async () => {
    const { engine } = await core.call('app.info', {});
    process.kill(engine.processId ?? 0, 'SIGKILL');
    await expect.poll(() => ask({ model: 'tiny-moe:roman' }).catch(() => ''), { timeout: 30_000, interval: 200 }).toBe(on);
    expect(await ask({})).toBe(off);
  });
});
