// The experts' device in stock llama-server: the same answers with room for half of the experts, the others read from disk.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nativeBuild } from '../../main/setup/paths.mjs';
import { tinyModel } from '../support/engine.ts';
import { buildLlamaServer, type RunningServer, startLlamaServer } from '../support/llama-server.ts';

const library = join(nativeBuild, 'libggml-moebius-experts.so');
const flags = ['-m', tinyModel, '-c', '512', '-t', '1', '-np', '1', '--no-warmup'];
const toTheStore = ['-ot', '\\.ffn_(up|down|gate|gate_up)_exps\\.weight=Experts'];
/** all experts of the tiny model take 26.7 MB */
const environment = { GGML_BACKEND_PATH: library, MOEBIUS_EXPERT_MODEL: tinyModel, MOEBIUS_EXPERT_RAM: '13000000' };

let program: string;
const servers: RunningServer[] = [];
beforeAll(async () => {
  expect(existsSync(library), 'ninja -C native/build ggml-moebius-experts').toBe(true);
  program = await buildLlamaServer();
}, 900_000);
afterAll(async () => {
  for (const server of servers) await server.stop();
});

async function start(more: string[] = [], plugged: Record<string, string> = {}): Promise<RunningServer> {
  const server = await startLlamaServer(program, [...flags, ...more], plugged);
  servers.push(server);
  return server;
}

async function post(url: string, body: object): Promise<unknown> {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return await response.json();
}

/** Greedy: a completion, its continuation from the prefix cache, and a chat. */
async function answers({ url }: RunningServer): Promise<string[]> {
  const complete = async (prompt: string) => {
    const { content } = (await post(`${url}/completion`, { prompt, n_predict: 64, temperature: 0, cache_prompt: true })) as { content: string };
    return content;
  };
  const prompt = 'In the beginning God created the heaven and the earth. And the earth was';
  const first = await complete(prompt);
  const second = await complete(`${prompt}${first} And`);
  const messages = [{ role: 'user', content: 'What is a shepherd?' }];
  const chat = (await post(`${url}/v1/chat/completions`, { messages, max_tokens: 48, temperature: 0 })) as { choices: { message: { content: string } }[] };
  return [first, second, chat.choices[0]?.message.content ?? ''];
}

/** "computed 812 experts, read 43.1 MB from disk" */
function summaryOf(log: string): { computed: number; megabytes: number } {
  const found = /moebius-experts: computed (\d+) experts, read ([\d.]+) MB from disk/.exec(log);
  return { computed: Number(found?.[1]), megabytes: Number(found?.[2]) };
}

it('answers completions and chats as without the library, from RAM for half of the experts', async () => {
  const stock = await start();
  const expected = await answers(stock);
  expect(await stock.stop()).toBe(0);
  for (const text of expected) expect(text.length).toBeGreaterThan(20);
  expect(stock.log()).not.toContain('moebius-experts');

  const plugged = await start(toTheStore, environment);
  expect(await answers(plugged)).toEqual(expected);
  expect(await plugged.stop()).toBe(0);
  expect(plugged.log()).toContain('13.0 MB of 26.7 MB of experts in RAM, policy score');
  const { computed, megabytes } = summaryOf(plugged.log());
  expect(computed).toBeGreaterThan(3 * 40 * 4 * 2); // three answers of more than 40 tokens, 4 layers, 2 experts of a token
  expect(megabytes).toBeGreaterThan(26.7); // more than every expert once: some were read again
}, 120_000);
