// 1000 broken copies of good files: each is surveyed or refused with an error of the catalogue, quickly, and no row of it vanishes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DatasetFormat } from '../../../main/contract/datasets.ts';
import { MoebiusError } from '../../../main/contract/errors.ts';
import { surveyDataset } from '../../../main/training/data/survey.ts';

const FILES: [string, DatasetFormat][] = [
  ['roman-numerals.jsonl', 'messages'],
  ['pig-latin.jsonl', 'alpaca'],
  ['openai-tools.jsonl', 'messages'],
  ['sharegpt.json', 'sharegpt'],
  ['wrapped.json', 'text'],
  ['prompts.tsv', 'prompt-completion'],
  ['preferences.jsonl', 'preference'],
  ['messages-snappy.parquet', 'messages'],
  ['alpaca-zstd.parquet', 'alpaca'],
];
const MUTANTS_EACH = 112;
const LONGEST_MS = 5000; // promise 9

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-mutants-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Numbers from 0 to below `below`, the same for the same seed (mulberry32). */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function mutant(good: Buffer, seed: number): Buffer {
  const draw = dice(seed);
  const at = draw(good.length);
  const length = 1 + draw(16);
  switch (draw(5)) {
    case 0:
      return good.subarray(0, at);
    case 1:
      return Buffer.concat([good.subarray(0, at), good.subarray(Math.min(good.length, at + length))]);
    case 2:
      return Buffer.concat([good.subarray(0, at), Buffer.from(Array.from({ length }, () => draw(256))), good.subarray(at)]);
    case 3:
      return Buffer.concat([good.subarray(0, at), good.subarray(draw(good.length))]);
    default: {
      const copy = Buffer.from(good);
      for (let i = 0; i < length; i++) copy[draw(copy.length)] = draw(256);
      return copy;
    }
  }
}

describe('a broken copy', () => {
  it.each(FILES)('of %s', { timeout: 60_000 }, async (name, format) => {
    const good = readFileSync(join(import.meta.dirname, '../../data/datasets', name));
    const path = join(folder, name);
    for (let seed = 0; seed < MUTANTS_EACH; seed++) {
      writeFileSync(path, mutant(good, seed));
      const begin = performance.now();
      try {
        const {
          rows,
          good: learnt,
          bad,
          badRows,
        } = await surveyDataset({ files: [path], format, split: { validation: 0.1, seed: 1 }, tokens: null, previews: 0 });
        expect([seed, learnt + bad]).toEqual([seed, rows]);
        expect(badRows.reasons.reduce((sum, { count }) => sum + count, 0)).toBe(bad);
      } catch (error) {
        if (!(error instanceof MoebiusError)) throw new Error(`mutant ${seed}`, { cause: error });
      }
      expect([seed, performance.now() - begin < LONGEST_MS]).toEqual([seed, true]);
    }
  });
});
