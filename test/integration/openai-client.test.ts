// The endpoint as its clients use it: the npm client `openai` against `moebius serve --api` with the real engine and the embedded model.
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Served, startServe } from '../support/serve.ts';

const MODEL = 'tiny-moe';
/** Characters of replies to four at once that must be the same as alone: batches of another size round otherwise, which may decide a near tie further on. */
const SAME = 12;
const messages = [{ role: 'user' as const, content: 'What is a dwarf?' }];

let served: Served;
let client: OpenAI;

beforeAll(async () => {
  served = await startServe({ flags: ['--api', '--api-port', '0'] });
  client = new OpenAI({ baseURL: served.apiUrl ?? '', apiKey: 'not-needed', maxRetries: 0 });
});

afterAll(() => served?.stop());

const greedy = { model: MODEL, messages, temperature: 0, max_tokens: 24 };

async function collect(stream: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<{ text: string; chunks: OpenAI.ChatCompletionChunk[] }> {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), chunks };
}

describe('the npm client openai', () => {
  it('lists the embedded model', async () => {
    const models = await client.models.list();
    expect(models.data.map((model) => model.id)).toContain(MODEL);
    expect((await client.models.retrieve(MODEL)).object).toBe('model');
  });

  it('chats, and a stream gives the same greedy text', async () => {
    const whole = await client.chat.completions.create(greedy);
    expect(whole.choices[0]?.message.content?.length).toBeGreaterThan(4);
    expect(whole.usage?.completion_tokens).toBeGreaterThan(1);
    const { text, chunks } = await collect(await client.chat.completions.create({ ...greedy, stream: true, stream_options: { include_usage: true } }));
    expect(text).toBe(whole.choices[0]?.message.content);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.at(-1)?.usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe(whole.choices[0]?.finish_reason);
  });

  it('repeats with the same seed and differs with another', async () => {
    const sample = async (seed: number) => (await client.chat.completions.create({ ...greedy, temperature: 1.5, seed })).choices[0]?.message.content;
    const [first, again, other] = [await sample(1), await sample(1), await sample(2)];
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  it('ends before a stop string and never sends a part of it', async () => {
    const text = (await client.chat.completions.create(greedy)).choices[0]?.message.content ?? '';
    const stop = text.slice(5, 9);
    const { text: cut } = await collect(await client.chat.completions.create({ ...greedy, stop, stream: true }));
    expect(cut).toBe(text.slice(0, text.indexOf(stop)));
  });

  it('constrains the reply to a JSON schema', async () => {
    const schema = {
      type: 'object',
      properties: { size: { enum: ['small', 'large'] }, tall: { type: 'boolean' } },
      required: ['size', 'tall'],
      additionalProperties: false,
    };
    const reply = await client.chat.completions.create({
      ...greedy,
      max_tokens: 300, // the grammar allows white space between the parts, and this model likes it
      response_format: { type: 'json_schema', json_schema: { name: 'dwarf', schema } },
    });
    expect(Object.keys(JSON.parse(reply.choices[0]?.message.content ?? ''))).toEqual(['size', 'tall']);
  });

  it('aborts a stream, after which the engine is free at once', async () => {
    const stream = await client.chat.completions.create({ ...greedy, max_tokens: 400, temperature: 1, stream: true, stop: undefined });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    stream.controller.abort();
    const before = performance.now();
    expect((await client.chat.completions.create({ ...greedy, max_tokens: 2 })).usage?.completion_tokens).toBe(2);
    expect(performance.now() - before).toBeLessThan(5000);
  });

  it('streams to four at once without mixing them up', async () => {
    const prompts = ['What is a dwarf?', 'What is 12 + 30?', 'What is a river?', 'What is a king?'];
    const ask = async (content: string) =>
      (await collect(await client.chat.completions.create({ ...greedy, messages: [{ role: 'user', content }], stream: true }))).text;
    const beginnings = (texts: string[]) => texts.map((text) => text.slice(0, SAME));
    const alone: string[] = [];
    for (const prompt of prompts) alone.push(await ask(prompt));
    expect(new Set(beginnings(alone)).size).toBe(prompts.length);
    expect(beginnings(await Promise.all(prompts.map(ask)))).toEqual(beginnings(alone));
  });

  it('tells a prompt that is too long with the numbers, and an unknown model', async () => {
    const long = client.chat.completions.create({ ...greedy, messages: [{ role: 'user', content: 'word '.repeat(2000) }] });
    await expect(long).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded', error: { n_ctx: 512, n_prompt_tokens: expect.any(Number) } });
    await expect(client.chat.completions.create({ ...greedy, model: 'gpt-4' })).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    await expect(client.chat.completions.create({ ...greedy, temperature: 99 })).rejects.toMatchObject({ status: 400, param: 'temperature' });
  });

  it('is not there for other hosts and pages of other sites', async () => {
    const url = `${served.apiUrl}/models`;
    expect((await fetch(url, { headers: { origin: 'http://evil.example' } })).status).toBe(403);
    expect((await fetch(url)).status).toBe(200);
    expect((await fetch((served.apiUrl ?? '').replace(/v1$/, 'health'))).status).toBe(200);
  });
});
