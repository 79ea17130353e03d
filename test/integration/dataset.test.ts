// `moebius dataset` as a user runs it: on samples of real sets, against what chat renders, and on a file that is larger than the memory it may take.
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DatasetReport } from '../../main/contract/datasets.ts';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { ExampleEncoder } from '../../main/training/data/encoder.ts';
import type { Example } from '../../main/training/data/example.ts';
import { toExample } from '../../main/training/data/formats/convert.ts';
import { encodeMeasured, PROMISED, writeShortRows } from '../support/dataset-memory.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { moebius } from '../support/moebius.ts';

const data = (name: string) => join(import.meta.dirname, '../data/datasets', name);
let folder: string;
let engine: EngineSupervisor;
let model: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-dataset-'));
  engine = await startEngine();
  model = (await engine.call('model.load', { path: tinyModel, options: { contextLength: 256, sequences: 1 } })).model;
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const dataset = (...args: string[]) => moebius(['dataset', ...args]);
async function report(...args: string[]): Promise<DatasetReport> {
  const { code, stdout, stderr } = await dataset(...args, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return DatasetReport.parse(JSON.parse(stdout));
}
const rowOf = (name: string, index: number): unknown => JSON.parse(readFileSync(data(name), 'utf8').split('\n')[index] ?? '');
const tokenize = async (text: string) => (await engine.call('model.tokenize', { model, text, parseSpecial: true })).tokens;

describe('moebius dataset', () => {
  it('surveys chats and instructions together', async () => {
    const all = await report(data('roman-numerals.jsonl'), data('pig-latin.jsonl'), '--validation', '0.1', '--seed', '7', '--preview', '1');
    expect(all).toMatchObject({ rows: 80, good: 80, bad: 0, kinds: { conversation: 80 }, warnings: [] });
    expect(all.files.map(({ format, confidence }) => [format, confidence])).toEqual([
      ['messages', 1],
      ['alpaca', 1],
    ]);
    expect(all.split.train + all.split.validation).toBe(80);
    expect(all.tokens).toMatchObject({ context: 512, overContext: 0, lengths: { count: 80 } });
    expect(all.preview[0]?.texts).toEqual([
      [
        { text: '<|im_start|>user\nWrite 269 as a Roman numeral.<|im_end|>\n<|im_start|>assistant\n', supervised: false },
        { text: '269 is CCLXIX.<|im_end|>', supervised: true },
        { text: '\n', supervised: false },
      ],
    ]);
    // the same rows in another order and another file are split in the same way
    writeFileSync(join(folder, 'swapped.jsonl'), readFileSync(data('pig-latin.jsonl'), 'utf8').trim().split('\n').reverse().join('\n'));
    const swapped = await report(data('roman-numerals.jsonl'), join(folder, 'swapped.jsonl'), '--validation', '0.1', '--seed', '7', '--no-tokens');
    expect(swapped.split).toEqual(all.split);
  });

  it('tells bad rows, writes all of them, and shows the rest to people', async () => {
    const out = join(folder, 'bad.jsonl');
    const { code, stdout } = await dataset(data('bad/messages.jsonl'), data('roman-numerals.jsonl'), '--format', 'messages', '--bad-rows', out);
    expect(code).toBe(0);
    expect(stdout).toContain('⟦269 is CCLXIX.<|im_end|>⟧');
    expect(stdout).toContain('35 bad rows, left out:');
    expect(stdout).toContain('messages.jsonl:5: field.missing: messages is missing; there is message');
    const rows = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(35);
    expect(rows[14]).toEqual({ file: data('bad/messages.jsonl'), place: 15, reason: 'role.unknown', detail: 'message 1 has the role "robot"' });
  });

  it.runIf(existsSync('/dev/full'))('fails when bad rows cannot be written', async () => {
    for (const path of ['/dev/full', join(folder, 'no/such/folder')]) {
      const { code, stderr } = await dataset(data('bad/latin1.jsonl'), '--no-tokens', '--bad-rows', path);
      expect([code, JSON.parse(stderr).code]).toEqual([1, 'file.unwritable']);
    }
  });

  it('does not teach silence where the template shows no tool calls', async () => {
    const { bad, good, badRows, warnings } = await report(data('openai-tools.jsonl'));
    expect([good, bad]).toEqual([2, 2]);
    expect(badRows.listed.map(({ place, reason }) => [place, reason])).toEqual([
      [1, 'template.failed'],
      [2, 'template.failed'],
    ]);
    expect(warnings).toEqual([]);
  });

  it('fails clearly when there is nothing to learn, and when the format is not clear', async () => {
    const nothing = await dataset(data('bad/alpaca.jsonl'), '--format', 'alpaca');
    expect(nothing.code).toBe(1);
    expect(JSON.parse(nothing.stderr)).toMatchObject({ code: 'dataset.no-good-row', message: expect.stringContaining('alpaca.jsonl:1: output is missing') });
    const unclear = await dataset(data('questions.csv'));
    expect(unclear.code).toBe(1);
    expect(JSON.parse(unclear.stderr)).toMatchObject({ code: 'dataset.format-unsure' });
    expect(await report(data('questions.csv'), '--map', 'prompt=question,completion=answer')).toMatchObject({ good: 3 });
    expect((await dataset(data('none.jsonl'))).stderr).toContain('file.not-found');
    for (const wrong of [
      ['--validation', '1'],
      ['--map', 'prompt'],
      ['--format', 'xml'],
      ['--bad-rows', data('questions.csv')],
    ]) {
      expect((await dataset(data('questions.csv'), ...wrong)).code).toBe(2);
    }
  });
});

describe('what the model sees', () => {
  // the whole of chat's way: the conversation up to the reply, rendered with the prompt for it, then the reply as it is generated
  async function asInChat(example: Example): Promise<{ tokens: number[]; supervised: [number, number][] }> {
    if (example.kind !== 'conversation') throw new Error('a conversation is asked for');
    const messages = example.messages.slice(0, -1);
    const { prompt, tokenCount } = await engine.call('chat.render', { model, chat: { messages } });
    const before = await tokenize(prompt);
    expect(before).toHaveLength(tokenCount);
    const reply = await tokenize(`${example.messages.at(-1)?.content}<|im_end|>`);
    return { tokens: [...before, ...reply, ...(await tokenize('\n'))], supervised: [[before.length, before.length + reply.length]] };
  }

  it('is what chat would have given it and would have had from it', async () => {
    const rows = Array.from({ length: 20 }, (_, index) => [
      toExample('messages', {}, rowOf('roman-numerals.jsonl', index)).example,
      toExample('alpaca', {}, rowOf('pig-latin.jsonl', index)).example,
    ]).flat();
    const encoder = new ExampleEncoder(engine, model, 'replies');
    const { examples } = await engine.call('examples.encode', { model, examples: rows.flatMap((row) => encoder.inputs(row)), withTokens: true });
    for (const [index, row] of rows.entries()) expect(examples[index]).toMatchObject(await asInChat(row));
  });

  it('is learnt token by token: two rows by hand', async () => {
    const rows = [toExample('messages', {}, rowOf('roman-numerals.jsonl', 0)).example, toExample('alpaca', {}, rowOf('pig-latin.jsonl', 0)).example];
    const encoder = new ExampleEncoder(engine, model, 'replies');
    const { examples } = await engine.call('examples.encode', { model, examples: rows.flatMap((row) => encoder.inputs(row)), withTokens: true });
    const learnt = examples.map((each) => {
      if ('error' in each) throw new Error(each.error.message);
      return each.supervised.flatMap(([begin, end]) => each.tokens?.slice(begin, end) ?? []);
    });
    // "2" "6" "9" " is" " C" "C" "L" "X" "I" "X" "." "<|im_end|>", and "ar" "st" "ay" "<|im_end|>"; single characters are their ASCII codes
    expect(learnt).toEqual([
      [50, 54, 57, 333, 477, 67, 76, 88, 73, 88, 46, 4095],
      [279, 308, 362, 4095],
    ]);
    expect(await tokenize(' is')).toEqual([333]);
    expect(await tokenize('<|im_end|>')).toEqual([4095]);
  });
});

/** What the table of repetitions has yet to grow, with very many rows (test/unit/training/statistics.test.ts). */
const TABLE = 60e6;

describe('a large file', () => {
  const BYTES = 300 * 2 ** 20;
  /** What may be held, MiB: with more, V8 ends the process. What is garbage and not yet collected grows with the machine's load, so of all memory only the promise is asked: with the engine's, 500 MB. */
  const HEAP = 128;
  const GROWTH = 350 * 2 ** 20;

  /** Rows of some 12 KB; every tenth is there twice, every hundredth is broken. */
  async function writeLarge(path: string): Promise<number> {
    const out = createWriteStream(path);
    let rows = 0;
    for (let bytes = 0; bytes < BYTES; rows++) {
      const filler = `${rows % 10 === 1 ? rows - 1 : rows} is a number. `.repeat(700);
      const line = rows % 100 === 99 ? `{"text": "${filler}\n` : `{"text": "${filler}"}\n`;
      bytes += line.length;
      if (!out.write(line)) await new Promise((resolve) => out.once('drain', resolve));
    }
    await new Promise<void>((resolve) => out.end(() => resolve()));
    return rows;
  }

  /** Surveys and encodes in a process of its own, which prints by how many bytes its memory grew at most. */
  const script = `
    import { encodeDataset } from ${JSON.stringify(join(import.meta.dirname, '../../main/training/data/encoded/encode.ts'))};
    const before = process.memoryUsage().rss;
    let most = before;
    const timer = setInterval(() => { most = Math.max(most, process.memoryUsage().rss); }, 10);
    const encode = (tokenCount) => ({ tokenCount, supervised: [[0, tokenCount]], tokens: Array.from({ length: tokenCount }, (_, index) => index) });
    const lengths = ({ text: { length } }) => ({ tokens: length, allTokens: length, supervised: 1, warnings: [], sequences: [encode(Math.ceil(length / 4))] });
    const tokens = { encoder: { lengths: async (examples) => examples.map(lengths) }, model: 'none', loss: 'replies', context: 8 };
    const model = { path: process.argv[1], inspection: { vocabularySize: 10000, chatTemplate: null } };
    const split = { validation: 0.1, seed: 1 };
    const options = { files: [process.argv[1]], split, tokens, previews: 0, folder: process.argv[2], maxTokens: null, overLong: 'cut', model, llamaVersion: null };
    const { report, counts } = await encodeDataset(options);
    clearInterval(timer);
    console.log(JSON.stringify({ growth: most - before, good: report.good, bad: report.bad, duplicates: report.duplicates.count, counts }));`;
  const run = (path: string, encoded: string) =>
    spawn(process.execPath, [`--max-old-space-size=${HEAP}`, '--input-type=module', '-e', script, path, encoded], { stdio: ['ignore', 'pipe', 'inherit'] });
  const beside = () => readdirSync(folder).filter((name) => name.startsWith('large-encoded'));
  /** Of the example files that are being written. */
  const writtenBytes = () => beside().reduce((sum, name) => sum + (statSync(join(folder, name, 'train.examples'), { throwIfNoEntry: false })?.size ?? 0), 0);

  it('is surveyed and encoded in little memory, also after a kill', async () => {
    const path = join(folder, 'large.jsonl');
    const rows = await writeLarge(path);
    const encoded = join(folder, 'large-encoded');
    const killed = run(path, encoded);
    while (writtenBytes() === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    killed.kill('SIGKILL');
    await new Promise((resolve) => killed.on('close', resolve));
    expect(existsSync(encoded)).toBe(false);

    const child = run(path, encoded);
    let stdout = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    const { growth, good, bad, duplicates, counts } = JSON.parse(stdout);
    expect(beside()).toEqual(['large-encoded']);
    expect(counts.parts.train.examples + counts.parts.validation.examples).toBe(good);
    expect(statSync(join(encoded, 'train.examples')).size).toBe(counts.parts.train.exampleBytes);
    expect(bad).toBe(Math.floor(rows / 100));
    expect(good).toBe(rows - bad);
    expect(duplicates).toBe(Math.floor((rows + 8) / 10));
    expect(growth).toBeLessThan(GROWTH);
    expect(growth).toBeGreaterThan(0);
  });
});

it('millions of very short rows take little memory, the engine and its vocabulary included', async () => {
  const rows = 100_000; // of each file; more of them in test/long
  const files = ['short.csv', 'short.jsonl'].map((name) => join(folder, name));
  for (const file of files) await writeShortRows(file, rows, file.endsWith('.csv') ? 0 : rows - 10);
  const { report, peak } = await encodeMeasured(files, join(folder, 'short-encoded'));
  expect(report).toMatchObject({
    good: 2 * rows,
    duplicates: { count: 10, listed: expect.arrayContaining([{ file: 1, place: 1, first: { file: 0, place: rows - 8 } }]) },
  });
  expect(peak).toBeLessThan(PROMISED - TABLE);
});
