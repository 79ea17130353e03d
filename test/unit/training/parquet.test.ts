// The reader of Parquet files, which test/data has: nothing here writes any.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readParquet } from '../../../main/training/data/readers/parquet.ts';
import type { Row } from '../../../main/training/data/readers/row.ts';

const data = (name: string) => join(import.meta.dirname, '../../data/datasets', name);
async function all(batches: AsyncIterable<Row[]>): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const batch of batches) rows.push(...batch);
  return rows;
}
/** [place, reason] of those that are bad */
const problems = (rows: Row[]) => rows.flatMap((row) => (row.problem ? [[row.place, row.problem.reason]] : []));

describe('Parquet', () => {
  it('gives nested lists, over several row groups', async () => {
    const rows = await all(readParquet(data('messages-snappy.parquet')));
    expect(rows.map(({ place }) => place)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(rows[4]?.value).toEqual({
      messages: [
        { role: 'user', content: 'Say 4.' },
        { role: 'assistant', content: '4' },
      ],
      source: 4,
    });
  });
  it('gives nulls, and 64-bit numbers as numbers', async () => {
    expect((await all(readParquet(data('alpaca-zstd.parquet')))).slice(1).map(({ value }) => value)).toEqual([
      { instruction: 'Add.', input: '2 2', output: '4', n: 2 ** 40 },
      { instruction: null, input: '3 3', output: '6', n: 3 },
    ]);
  });
  it('tells the rows of a row group that is broken, and goes on', async () => {
    const rows = await all(readParquet(data('bad/row-group-2-overwritten.parquet')));
    expect(problems(rows)).toEqual([4, 5, 6].map((place) => [place, 'row.unreadable']));
    expect(rows[6]?.value).toMatchObject({ source: 6 });
  });
  it('gives the rows of a large row group a piece at a time, in their order', async () => {
    let count = 0;
    for await (const rows of readParquet(data('short-rows.parquet'))) {
      expect(rows.length).toBeLessThanOrEqual(256);
      for (const row of rows) {
        expect([row.place, row.value]).toEqual([count + 1, { text: `row ${count % 1000}` }]);
        count += 1;
      }
    }
    expect(count).toBe(40_000);
  });
  it('is refused when it is cut off', async () => {
    await expect(all(readParquet(data('bad/truncated.parquet')))).rejects.toMatchObject({ code: 'file.corrupt' });
  });
});
