// More rows than are remembered, very short ones, in the memory that is promised for any file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EXAMPLES_REMEMBERED } from '../../main/contract/datasets.ts';
import { encodeMeasured, PROMISED, writeShortRows } from '../support/dataset-memory.ts';

const ROWS = (EXAMPLES_REMEMBERED * 5) / 8; // of each file

it('moebius dataset takes no more for millions of very short rows than is promised', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-dataset-memory-'));
  try {
    const files = ['rows.csv', 'rows.jsonl'].map((name) => join(folder, name));
    for (const [index, file] of files.entries()) await writeShortRows(file, ROWS, index * ROWS);
    const { report, peak } = await encodeMeasured(files, join(folder, 'encoded'));
    console.log(`${2 * ROWS} rows in ${Math.round(peak / 1e6)} MB`);
    expect(report).toMatchObject({ good: 2 * ROWS, duplicates: { count: 0, incomplete: true } });
    expect(peak).toBeLessThan(PROMISED);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 1_800_000);
