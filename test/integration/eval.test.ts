// `moebius eval` against the same numbers computed here, in double precision, from the logits of every token.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { linesOf, moebius } from '../support/moebius.ts';

/** Logits are F32, and how likely a token is has a rounding of F32 more. */
const TOLERANCE = 2e-6;
const CONTEXT = 48;

let folder: string;
let engine: EngineSupervisor;
let model: number;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-eval-test-'));
  engine = await startEngine();
  model = (await engine.call('model.load', { path: tinyModel, options: { contextLength: 512, sequences: 1, telemetry: false } })).model;
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** -log p of each of `targets`, by the definition. */
async function losses(tokens: number[], targets: number[]): Promise<number[]> {
  const rows: Float32Array[] = [];
  const onLogits = ({ logits, rowCount, vocabularySize }: { logits: Float32Array; rowCount: number; vocabularySize: number }) => {
    for (let row = 0; row < rowCount; row++) rows.push(logits.slice(row * vocabularySize, (row + 1) * vocabularySize));
  };
  await engine.call('model.logits', { model, tokens, all: true }, { onLogits });
  return targets.map((target) => {
    const row = Array.from(rows[target - 1] ?? []);
    const most = Math.max(...row);
    return most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - (row[tokens[target] ?? -1] ?? Number.NaN);
  });
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function evaluated(...flags: string[]): Promise<{ loss: number; perplexity: number; targets: number }> {
  const { code, stdout, stderr } = await moebius(['eval', tinyModel, ...flags, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const { progress, result } = linesOf<{ loss: number; perplexity: number; targets: number }>(stdout);
  const parts = flags.includes('--data') ? ['data', 'evaluation'] : ['evaluation'];
  expect([...new Set(progress.map(({ what }) => what))]).toEqual(parts);
  for (const { event, fraction } of progress) expect([event, fraction >= 0 && fraction <= 1]).toEqual(['progress', true]);
  expect(result).toMatchObject({ event: 'ended' });
  return result;
}

describe('moebius eval', () => {
  it('takes a text in windows of which the second half counts, as llama-perplexity does', async () => {
    const text = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8').slice(0, 1000);
    const file = join(folder, 'text.txt');
    writeFileSync(file, text);
    const { tokens } = await engine.call('model.tokenize', { model, text, addSpecial: true });
    const begin = (await engine.call('model.tokenize', { model, text: '', addSpecial: true })).tokens[0];
    const all: number[] = [];
    for (let at = 0; at + CONTEXT <= tokens.length; at += CONTEXT) {
      const window = tokens.slice(at, at + CONTEXT);
      if (begin !== undefined) window[0] = begin;
      const second = Array.from({ length: CONTEXT / 2 - 1 }, (_, index) => CONTEXT / 2 + 1 + index);
      all.push(...(await losses(window, second)));
    }
    expect(all.length).toBeGreaterThan(100);
    const result = await evaluated('--text', file, '--context', String(CONTEXT));
    expect(result.targets).toBe(all.length);
    expect(Math.abs(result.loss - mean(all))).toBeLessThan(TOLERANCE * mean(all));
    expect(Math.abs(result.perplexity / Math.exp(mean(all)) - 1)).toBeLessThan(TOLERANCE * 10);
  });

  it('takes the replies of a dataset', async () => {
    const rows = ['IV', 'IX', 'XLII'].map((reply, index) => ({
      messages: [
        { role: 'user', content: `Number ${index}?` },
        { role: 'assistant', content: reply },
      ],
    })); // three chats
    const file = join(folder, 'chats.jsonl');
    writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
    const { examples } = await engine.call('examples.encode', {
      model,
      examples: rows.map((chat) => ({
        chat: { messages: chat.messages.map((message) => ({ ...message, role: message.role === 'user' ? ('user' as const) : ('assistant' as const) })) },
        replies: [1],
      })),
      withTokens: true,
    });
    const all: number[] = [];
    for (const example of examples) {
      if ('error' in example) throw new Error(example.error.message);
      const targets = example.supervised.flatMap(([from, to]) => Array.from({ length: to - from }, (_, index) => from + index));
      all.push(...(await losses(example.tokens ?? [], targets)));
    }
    const result = await evaluated('--data', file);
    expect(result.targets).toBe(all.length);
    expect(Math.abs(result.loss - mean(all))).toBeLessThan(TOLERANCE * mean(all));
  });

  it('says what is wrong', async () => {
    expect((await moebius(['eval', tinyModel])).code).toBe(2);
    const none = await moebius(['eval', tinyModel, '--text', join(folder, 'none.txt')]);
    expect([none.code, JSON.parse(none.stderr)]).toMatchObject([1, { code: 'file.unreadable' }]);
    const short = join(folder, 'short.txt');
    for (const text of ['I', '']) {
      writeFileSync(short, text);
      const nothing = await moebius(['eval', tinyModel, '--text', short]);
      expect([nothing.code, JSON.parse(nothing.stderr)]).toMatchObject([
        1,
        { code: 'dataset.no-good-row', message: expect.stringMatching(/^The text has \d tokens/) },
      ]);
    }
    for (const what of ['--text', '--data']) {
      const narrow = await moebius(['eval', tinyModel, what, short, '--context', '0']);
      expect([narrow.code, JSON.parse(narrow.stderr)]).toMatchObject([2, { message: expect.stringContaining('3 or more') }]);
    }
  });
});
