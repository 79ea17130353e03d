// The `moebius` command as a user runs it.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyModel } from '../support/engine.ts';
import { moebius } from '../support/moebius.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function json(args: string[], input?: string) {
  const { code, stdout, stderr } = await moebius([...args, '--json'], input);
  expect(stderr.split('\n').filter((line) => line.startsWith('{"code"'))).toEqual([]);
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

describe('moebius', () => {
  it('inspect tells what the file holds', async () => {
    expect(await json(['inspect', tinyModel])).toMatchObject({
      architecture: 'qwen3moe',
      layerCount: 4,
      expertCount: 32,
      expertUsedCount: 2,
      vocabularySize: 4096,
      contextLength: 512,
    });
    expect((await moebius(['inspect', tinyModel])).stdout).toContain('32 per layer, 2 used per token');
  });

  it('devices has the CPU with its memory', async () => {
    const { devices } = await json(['devices']);
    expect(devices).toContainEqual(expect.objectContaining({ id: 'CPU', kind: 'cpu', memoryTotal: expect.any(Number) }));
  });

  it('generate gives text, speeds and expert usage, and is repeatable', async () => {
    const args = ['generate', '-m', tinyModel, '--prompt', 'In the beginning God created', '-n', '12', '--temperature', '0'];
    const result = await json(args);
    expect(result).toMatchObject({ tokens: 12, promptTokens: 7, finishReason: 'length', text: expect.stringMatching(/\S/) });
    expect(result.tokensPerSecond).toBeGreaterThan(0);
    expect(result.timeToFirstTokenMs).toBeGreaterThan(0);
    // every token evaluated chooses 2 experts a layer; the last token generated is not evaluated, and the last layer only where logits are wanted
    const perLayer = result.expertUsage.map((row: number[]) => row.reduce((sum, count) => sum + count, 0));
    expect(result.expertUsage.map((row: number[]) => row.length)).toEqual([32, 32, 32, 32]);
    expect(perLayer).toEqual([36, 36, 36, 24]);
    expect((await json(args)).text).toBe(result.text);
  });

  it('generate reads the prompt from standard input and files', async () => {
    const file = join(folder, 'prompt.txt');
    writeFileSync(file, 'In the beginning');
    const args = ['generate', tinyModel, '-n', '4', '--temperature', '0'];
    const [piped, read] = [await json(args, 'In the beginning'), await json([...args, '--file', file])];
    expect(piped.text).toBe(read.text);
  });

  it('chat keeps the conversation and answers in JSON lines', async () => {
    const { code, stdout } = await moebius(['chat', tinyModel, '--json', '-n', '8', '--temperature', '0'], 'What is a dwarf?\nAnd a king?\n');
    const replies = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(replies).toHaveLength(2);
    expect(replies[1].promptTokens).toBeGreaterThan(replies[0].promptTokens);
    expect(replies[1].cachedTokens).toBeGreaterThan(0);
  });

  it('trace records routing that --read summarises', async () => {
    const file = join(folder, 'one.moetrace');
    const written = await json(['trace', tinyModel, '--output', file, '--prompt', 'What is a dwarf?', '-n', '6', '--temperature', '0']);
    expect(existsSync(file)).toBe(true);
    expect(written).toMatchObject({ sequences: 1, header: { expertCount: 32, expertUsedCount: 2, moeLayers: [0, 1, 2, 3] }, tail: { state: 'whole' } });
    expect(await json(['trace', '--read', file])).toEqual(written);
  });

  it('simulate replays a recorded trace through every policy', async () => {
    const file = join(folder, 'simulate.moetrace');
    await json(['trace', tinyModel, '--output', file, '--prompt', 'What is a dwarf?', '-n', '24', '--temperature', '0']);
    const result = await json(['simulate', file, '--slots', '4', '--bytes-per-expert', '208896']);
    const names = result.policies.map((each: { policy: string; readAhead: number }) => `${each.policy}${each.readAhead}`);
    expect(names).toEqual(['lru0', 'lfu0', 'lfru0', 'score0', 'least-stale0', 'lrfu0', 'foresight0', 'foresight2', 'lookahead-10', 'belady0']);
    const misses = result.policies.filter((each: { readAhead: number }) => each.readAhead === 0).map((each: { misses: number }) => each.misses);
    expect(Math.min(...misses)).toBe(misses.at(-1));
    expect(result.policies[0]).toMatchObject({ slots: [4, 4, 4, 4], bytesPerToken: (result.policies[0].misses * 208896) / result.tokens });
    const table = await moebius(['simulate', file, '--ram', String(16 * 208896), '--bytes-per-expert', '208896', '--policy', 'belady']);
    expect([table.code, table.stdout]).toEqual([0, expect.stringMatching(/^belady +4 /m)]);

    const devices = await json(['simulate', file, '--devices', '2', '--device-slots', '24', '--batch', '8', '--window', '1']);
    expect(devices.policies.map((each: { policy: string }) => each.policy)).toEqual([
      'static',
      'eplb',
      'eplb-split',
      'flexmoe',
      'swiftmoe',
      'adaptive-apart',
      'adaptive-anywhere',
      'adaptive',
      'replicate-quantize',
    ]);
    for (const each of devices.policies) expect(each.balanceMean).toBeGreaterThanOrEqual(devices.policies.at(-1).balanceMean - 0.01);
    const small = await moebius(['simulate', file, '--devices', '2', '--device-slots', '15', '--batch', '8']);
    expect([small.code, JSON.parse(small.stderr).message]).toEqual([1, expect.stringContaining('30 slots a layer, and there are 32 experts')]);
    const short = await moebius(['simulate', file, '--devices', '2', '--device-slots', '16']);
    expect([short.code, JSON.parse(short.stderr).message]).toEqual([1, expect.stringContaining('fewer tokens than one batch of 512')]);
  });

  it('bench measures prefill and decode', async () => {
    const result = await json(['bench', tinyModel, '--prompt-tokens', '32', '--tokens', '16', '-r', '1']);
    expect(result.prefill.median).toBeGreaterThan(0);
    expect(result.decode.median).toBeGreaterThan(0);
  });
});

describe('errors', () => {
  it.each([
    [['frobnicate'], 'frobnicate'],
    [['generate', '--temperature', 'hot', '-p', 'x'], 'temperature'],
    [['generate', '--temperature', '11', '-p', 'x'], 'temperature'],
    [['generate', '--frobnicate'], '--frobnicate'],
    [['generate', '-p', 'x', '--file', 'y'], 'not both'],
    [['generate', '-p', 'x', '--json-schema', '{'], 'JSON'],
    [['trace'], '--output'],
    [['simulate'], 'trace'],
    [['simulate', 'x', '--slots', '2', '--slots-factor', '2'], 'not several'],
    [['simulate', 'x', '--ram', '100000'], '--bytes-per-expert'],
    [['simulate', 'x', '--allocation', 'deep'], 'allocation'],
    [['simulate', 'x', '--devices', '2'], '--device-slots'],
    [['serve', '--port', '70000'], '70000'],
    [['serve', '--log-level', 'loud'], 'loud'],
    [['bench', '-r', '0'], 'repetition'],
  ])('%j is bad usage: exit code 2 and one JSON object', async (args, named) => {
    const { code, stdout, stderr } = await moebius(args);
    expect([code, stdout]).toEqual([2, '']);
    expect(JSON.parse(stderr)).toMatchObject({ code: 'request.invalid', message: expect.stringContaining(named) });
  });

  it('a file that is not there or is no GGUF fails: exit code 1', async () => {
    const missing = await moebius(['inspect', join(folder, 'none.gguf')]);
    expect([missing.code, JSON.parse(missing.stderr).code]).toEqual([1, 'file.not-found']);
    const trace = await moebius(['simulate', join(folder, 'none.moetrace')]);
    expect([trace.code, JSON.parse(trace.stderr).code]).toEqual([1, 'file.not-found']);
    const text = join(folder, 'text.gguf');
    writeFileSync(text, 'not a model');
    const wrong = await moebius(['generate', text, '-p', 'x', '--json']);
    expect([wrong.code, JSON.parse(wrong.stderr).code]).toEqual([1, 'file.not-gguf']);
  });

  it('help is no error', async () => {
    const { code, stdout } = await moebius(['--help']);
    expect(code).toBe(0);
    for (const command of ['inspect', 'devices', 'generate', 'chat', 'serve', 'trace', 'simulate', 'bench']) expect(stdout).toContain(command);
  });
});
