// `moebius dataset --encode` through the real engine. What it writes of some rows is kept in ../data/encoded, from where native/test/train-data-test.cpp reads it:
// so both sides agree on the format. To make it anew: MOEBIUS_WRITE_ENCODED=1 with this test.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EncodedExample } from '../../main/engine/protocol.ts';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { EncodedManifest } from '../../main/training/data/encoded/format.ts';
import { ExampleEncoder } from '../../main/training/data/encoder.ts';
import { type Example, fingerprint } from '../../main/training/data/example.ts';
import { toExample } from '../../main/training/data/formats/convert.ts';
import { partOf } from '../../main/training/data/split.ts';
import { type ReadExample, readPart } from '../support/encoded.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { moebius } from '../support/moebius.ts';

const data = (name: string) => join(import.meta.dirname, '../data/datasets', name);
const kept = join(import.meta.dirname, '../data/encoded');
const binaries = ['train.examples', 'train.index', 'validation.examples', 'validation.index'];
const rows = [data('roman-numerals.jsonl'), data('preferences.jsonl')];
const formats = ['messages', 'preference'] as const;
const split = { validation: 0.2, seed: 7 };
const MAX_TOKENS = 36;
const flags = ['--validation', '0.2', '--seed', '7', '--max-tokens', `${MAX_TOKENS}`];
const parts = ['train', 'validation'] as const;

let folder: string;
let engine: EngineSupervisor;
let model: number;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-encode-'));
  engine = await startEngine();
  model = (await engine.call('model.load', { path: tinyModel, options: { contextLength: 256, sequences: 1 } })).model;
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** What the engine says of every row, cut by hand. */
async function expectedParts(): Promise<Record<'train' | 'validation', ReadExample[]>> {
  const expected: Record<'train' | 'validation', ReadExample[]> = { train: [], validation: [] };
  const encoder = new ExampleEncoder(engine, model, 'replies');
  for (const [file, path] of rows.entries()) {
    for (const [index, line] of readFileSync(path, 'utf8').trim().split('\n').entries()) {
      const { example } = toExample(formats[file] ?? 'messages', {}, JSON.parse(line));
      const { examples } = await engine.call('examples.encode', { model, examples: encoder.inputs(example), withTokens: true });
      expected[partOf(fingerprint(example), split)].push({ file, row: index + 1, ...cutByHand(example, examples as EncodedExample[]) }); // none of them is refused
    }
  }
  return expected;
}

function cutByHand(example: Example, encoded: EncodedExample[]): Omit<ReadExample, 'file' | 'row'> {
  const sequences = encoded.map(({ tokens = [], supervised }) => ({
    tokens: tokens.slice(0, MAX_TOKENS),
    learnt: tokens.slice(0, MAX_TOKENS).flatMap((_, at) => (supervised.some(([begin, end]) => begin <= at && at < end) ? [at] : [])),
  }));
  // replies of these pairs differ in their first token or behind it, and are learnt from where the prompt ends
  const prompt = example.kind === 'preference' ? Math.min(...sequences.map(({ learnt }) => learnt[0] ?? 0)) : 0;
  return { cut: encoded.some(({ tokenCount }) => tokenCount > MAX_TOKENS), prompt, sequences };
}

describe('moebius dataset --encode', () => {
  it('writes what the engine says of every row, and what the trainer reads', async () => {
    const out = join(folder, 'encoded');
    const { code, stdout, stderr } = await moebius(['dataset', ...rows, ...flags, '--encode', out, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const expected = await expectedParts();
    expect({ train: readPart(out, 'train'), validation: readPart(out, 'validation') }).toEqual(expected);
    const all = [...expected.train, ...expected.validation];
    expect(all.some(({ cut }) => cut)).toBe(true);
    const { encoded, split: counted } = JSON.parse(stdout);
    expect(encoded).toMatchObject({ folder: out, cut: all.filter(({ cut }) => cut).length, leftOut: { overLong: 0, nothingToLearn: 0 } });
    expect([counted.train, counted.validation]).toEqual(parts.map((part) => expected[part].length));
    const manifest = EncodedManifest.parse(JSON.parse(readFileSync(join(out, 'dataset.json'), 'utf8')));
    expect(manifest.parts).toEqual(encoded.parts);
    expect(manifest.key).toMatchObject({ loss: 'replies', split, maxTokens: MAX_TOKENS, model: { vocabularySize: 4096, files: [{ path: tinyModel }] } });
    if (process.env.MOEBIUS_WRITE_ENCODED) keep(out, manifest, expected);
    for (const name of binaries) expect(readFileSync(join(out, name)).equals(readFileSync(join(kept, name))), `${name} as in test/data/encoded`).toBe(true);
    expect(JSON.parse(readFileSync(join(kept, 'expected.json'), 'utf8'))).toEqual(expected);
    expect(EncodedManifest.parse(JSON.parse(readFileSync(join(kept, 'dataset.json'), 'utf8'))).parts).toEqual(manifest.parts);
  });

  /** Without what is only so on this machine. */
  function keep(out: string, manifest: EncodedManifest, expected: Record<'train' | 'validation', ReadExample[]>): void {
    for (const name of binaries) cpSync(join(out, name), join(kept, name));
    const anonymous = JSON.stringify(manifest, (key, value) => (key === 'path' ? basename(value) : key === 'modifiedMs' ? 0 : value), 2);
    writeFileSync(join(kept, 'dataset.json'), `${anonymous}\n`);
    writeFileSync(join(kept, 'expected.json'), `${JSON.stringify(expected)}\n`);
  }

  it('tells people what it wrote, and replaces what it wrote before', async () => {
    const out = join(folder, 'told');
    const first = await moebius(['dataset', ...rows, '--encode', out]);
    expect([first.code, first.stderr]).toEqual([0, '']);
    expect(first.stdout).toMatch(/Written for the trainer: .*told, [\d.]+ KiB\n {2}training: \d+ examples, [\d.]+ k tokens/);
    const second = await moebius(['dataset', ...rows, ...flags, '--over-long', 'leave-out', '--encode', out]);
    expect(second.stdout).toMatch(/\n {2}\d+ left out: more tokens than may be/);
    expect(readPart(out, 'train').every(({ sequences }) => sequences.every(({ tokens }) => tokens.length <= MAX_TOKENS))).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith('told'))).toEqual(['told']);
  });

  it('fails clearly', async () => {
    for (const wrong of [
      ['--encode', join(folder, 'x'), '--no-tokens'],
      ['--max-tokens', '9'],
      ['--encode', join(folder, 'x'), '--over-long', 'cut'],
      ['--encode', join(folder, 'x'), '--max-tokens', '0'],
    ]) {
      expect((await moebius(['dataset', ...rows, ...wrong])).code).toBe(2);
    }
    const other = await moebius(['dataset', ...rows, '--encode', join(import.meta.dirname, '../data/datasets')]);
    expect([other.code, JSON.parse(other.stderr).code]).toEqual([1, 'request.invalid']);
    const short = await moebius(['dataset', ...rows, '--encode', join(folder, 'x'), '--max-tokens', '2']);
    expect([short.code, JSON.parse(short.stderr).code]).toEqual([1, 'dataset.no-good-row']);
    expect(readdirSync(folder).filter((name) => name.startsWith('x'))).toEqual([]);
  });
});
