// Readers: rows with their places and offsets, whatever the chunks of the file; what is broken is told and does not end the reading.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDelimited } from '../../../main/training/data/readers/delimited.ts';
import { readJsonArray, readJsonObjects } from '../../../main/training/data/readers/json-array.ts';
import { readJsonLines } from '../../../main/training/data/readers/jsonl.ts';
import { readLines } from '../../../main/training/data/readers/lines.ts';
import { ObjectLayoutScanner } from '../../../main/training/data/readers/object-layout.ts';
import { kindOf, openDataFile } from '../../../main/training/data/readers/open.ts';
import { DOCUMENT_BYTES_MOST, readPlainText } from '../../../main/training/data/readers/plain-text.ts';
import { LONGEST_ROW, type Row, type Rows } from '../../../main/training/data/readers/row.ts';

const data = (name: string) => join(import.meta.dirname, '../../data/datasets', name);
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-readers-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(content: string | Buffer): string {
  const path = join(folder, 'data');
  writeFileSync(path, content);
  return path;
}
async function all<T>(batches: AsyncIterable<T[]>): Promise<T[]> {
  const rows: T[] = [];
  for await (const batch of batches) rows.push(...batch);
  return rows;
}
const values = async (rows: Rows) => (await all(rows)).map((row) => row.value);
/** [place, reason] of those that are bad */
const problems = (rows: Row[]) => rows.flatMap((row) => (row.problem ? [[row.place, row.problem.reason]] : []));

describe('lines', () => {
  it('are the same in chunks of any size, with offsets that point at them', async () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'é', '😀', ' '), maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.constantFrom('\n', '\r\n'), fc.boolean(), fc.integer({ min: 1, max: 9 }), async (texts, end, ended, chunk) => {
        const bytes = Buffer.from(texts.join(end) + (ended ? end : ''));
        const lines = await all(readLines(file(bytes), chunk));
        const expected = ended || texts.at(-1) !== '' ? texts : texts.slice(0, -1); // a file that ends with a newline has no further line
        const wanted = texts.length === 0 && ended ? [''] : expected;
        expect(lines.map((each) => each.bytes?.toString())).toEqual(wanted);
        expect(lines.map(({ number }) => number)).toEqual(wanted.map((_, index) => index + 1));
        for (const { offset, bytes: own } of lines) expect(bytes.subarray(offset, offset + (own?.length ?? 0))).toEqual(own);
      }),
      { numRuns: 60 },
    );
  });
});

describe('JSON Lines', () => {
  it('may have a byte order mark, CRLF, empty lines and no newline at the end', async () => {
    const rows = await all(readJsonLines(file('\uFEFF{"a":1}\r\n\r\n  \n{"a":2}\n{"a":3}')));
    expect(rows).toEqual([
      { place: 1, offset: 0, value: { a: 1 } },
      { place: 4, offset: 17, value: { a: 2 } },
      { place: 5, offset: 25, value: { a: 3 } },
    ]);
  });

  it('tells broken lines, and goes on', async () => {
    const rows = await all(readJsonLines(file(Buffer.concat([Buffer.from('{"a":1}\n{"a":\n"caf'), Buffer.from([0xe9]), Buffer.from('"\n{"a":4}\n')]))));
    expect(problems(rows)).toEqual([
      [2, 'row.not-json'],
      [3, 'row.not-utf8'],
    ]);
    expect(rows.map(({ value }) => value)).toEqual([{ a: 1 }, undefined, undefined, { a: 4 }]);
  });

  it('skips a line that is too long, and knows where the next begins', async () => {
    const long = `"${'x'.repeat(LONGEST_ROW)}"`;
    const rows = await all(readJsonLines(file(`1\n${long}\n3\n`)));
    expect(problems(rows)).toEqual([[2, 'row.too-long']]);
    expect(rows[1]?.problem?.message).toContain(`${LONGEST_ROW + 2} bytes`);
    expect(rows[2]).toEqual({ place: 3, offset: long.length + 3, value: 3 });
  });
});

describe('a JSON list', () => {
  it('gives its elements in chunks of any size, with offsets that point at them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue()),
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(undefined, 1),
        fc.boolean(),
        async (list, chunk, indent, wrapped) => {
          const elements = wrapped ? [{ a: 1 }, ...list] : list; // an object's list of rows begins with an object
          const text = JSON.stringify(wrapped ? { version: [1, 2], nested: { a: [{ b: 1 }] }, none: [], data: elements, more: [1] } : list, null, indent);
          const rows = await all(readJsonArray(file(text), chunk));
          expect(rows.map(({ value }) => value)).toEqual(JSON.parse(JSON.stringify(elements)));
          expect(rows.map(({ place }) => place)).toEqual(elements.map((_, index) => index + 1));
          const bytes = Buffer.from(text);
          for (const { offset, value } of rows)
            expect(
              bytes
                .subarray(offset ?? 0)
                .toString()
                .startsWith(JSON.stringify(value, null, indent)?.slice(0, 1) ?? ''),
            ).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is read on behind a broken element, and told where it breaks off', async () => {
    const rows = await all(readJsonArray(data('bad/broken-list.json')));
    expect(problems(rows)).toEqual([
      [2, 'row.not-json'],
      [4, 'row.not-json'],
      [5, 'row.not-json'],
    ]);
    expect(rows[2]?.value).toEqual({ text: 'three' });
    expect(rows[4]?.problem?.message).toContain('the file ends inside the list');
  });

  it('has nothing behind it', async () => expect(problems(await all(readJsonArray(data('bad/behind-the-list.json'))))).toEqual([[2, 'row.not-json']]));
  it('may be empty', async () => expect(await all(readJsonArray(file('\uFEFF [ ] \n')))).toEqual([]));
  it('may be one object, which is one row', async () => expect(await values(readJsonArray(file('{"text":"one"}')))).toEqual([{ text: 'one' }]));
  it('is told of when an object has another one, or something is behind that object', async () => {
    const rows = await all(readJsonArray(file('{"train": [{"text": "a"}], "validation": [{"text": "b"}, {"text": "c"}], "notes": ["d"]} {}'), 3));
    expect(rows[0]?.value).toEqual({ text: 'a' });
    expect(problems(rows)).toEqual([
      [2, 'row.unreadable'],
      [3, 'row.not-json'],
    ]);
    expect(rows[1]?.problem?.message).toBe('the list "validation" was not read, only "train": give it a file of its own');
    expect(problems(await all(readJsonArray(file('{"data": [{"text": "a"}], "rest": '))))).toEqual([[2, 'row.not-json']]);
  });
  it('is no list when it begins otherwise', async () => expect(problems(await all(readJsonArray(file('hello'))))).toEqual([[1, 'row.not-json']]));

  it('skips an element that is too long', async () => {
    const rows = await all(readJsonArray(file(`[1, "${'x'.repeat(LONGEST_ROW)}", 3]`)));
    expect(problems(rows)).toEqual([[2, 'row.too-long']]);
    expect(rows[2]?.value).toBe(3);
  });
});

describe('JSON objects one behind the other', () => {
  const chat = { messages: [{ role: 'user', content: 'Say "}" \\' }] };
  const objects = [chat, { text: 'b' }, { messages: [] }];

  it('are a row each, in chunks of any size', async () => {
    for (const chunk of [1, 7, 1000]) {
      const rows = await all(readJsonObjects(file(`\uFEFF${objects.map((each) => JSON.stringify(each, null, 2)).join('\n')}\n`), chunk));
      expect(rows.map(({ place, value }) => [place, value])).toEqual(objects.map((each, index) => [index + 1, each]));
    }
    expect(problems(await all(readJsonObjects(file('{"a":1}, {"a":2} {"a":'))))).toEqual([[3, 'row.not-json']]);
    expect(problems(await all(readJsonObjects(file('{"a":1}, {"a":2}'))))).toEqual([[3, 'row.not-json']]);
  });
  it('are told from one around rows, however long the first is', async () => {
    const read = async (text: string) => {
      const path = join(folder, 'rows.json');
      writeFileSync(path, text);
      const { kind, rows } = await openDataFile(path);
      return [kind, await values(rows())];
    };
    const long = { messages: [{ role: 'user', content: 'x{'.repeat(50_000) }] };
    expect(await read(`${JSON.stringify(long)}\n${JSON.stringify(chat)}\n`)).toEqual(['jsonl', [long, chat]]);
    expect(await read(`${JSON.stringify(long, null, 1)}\n${JSON.stringify(chat)}`)).toEqual(['json', [long, chat]]);
    expect(await read(JSON.stringify({ about: [1], data: objects }, null, 1))).toEqual(['json', objects]);
  });
});

describe('CSV', () => {
  it('has quotes, newlines in quotes, a byte order mark, CRLF; places are lines', async () => {
    const rows = await all(readDelimited(data('questions.csv')));
    expect(rows.map(({ place, value }) => [place, value])).toEqual([
      [2, { question: 'What is "ice"?', answer: 'Frozen\r\nwater.' }],
      [4, { question: 'What is fire?', answer: 'Hot gas.' }],
      [5, { question: 'What is air?', answer: 'Gas.' }],
    ]);
  });
  it('may be separated by tabs or semicolons', async () => {
    expect(await values(readDelimited(data('prompts.tsv')))).toContainEqual({ prompt: 'Two, plus two?', completion: 'Four.' });
    expect(await values(readDelimited(file('a;b\n1,5;2\n')))).toEqual([{ a: '1,5', b: '2' }]);
  });
  it('may have empty lines', async () => {
    expect((await all(readDelimited(file('\na,b\n\n\n1,2\n\n3,"4\n5"\n6,7')))).map(({ place }) => place)).toEqual([5, 7, 9]);
  });
  it('tells rows of another width, and goes on', async () => {
    const rows = await all(readDelimited(data('bad/columns.csv')));
    expect(problems(rows)).toEqual([
      [3, 'row.columns'],
      [4, 'row.columns'],
    ]);
    expect(rows.at(-1)?.value).toEqual({ prompt: 'g', completion: 'h' });
  });
  it('tells where a quote is opened that is never closed, and loses no row before it', async () => {
    const rows = await all(readDelimited(data('bad/quote.csv')));
    expect(problems(rows)).toEqual([[5, 'row.not-csv']]);
    expect(rows.filter(({ problem }) => !problem)).toHaveLength(3);
  });
  it('tells rows that are not UTF-8, and goes on', async () => {
    const rows = await all(readDelimited(file(Buffer.from('\uFEFFa,b\ncafé,1\n"x\ny",\u00e9\n', 'utf8'))));
    expect(rows.map(({ place, offset, value }) => [place, offset, value])).toEqual([
      [2, 7, { a: 'café', b: '1' }],
      [3, 15, { a: 'x\ny', b: 'é' }],
    ]);
    const latin1 = await all(readDelimited(file(Buffer.from('a,b\nb,1\ncafé,2\n"x\ny",3\n', 'latin1'))));
    expect(problems(latin1)).toEqual([[3, 'row.not-utf8']]);
    expect(latin1.map(({ place }) => place)).toEqual([2, 3, 4]);
  });
  it('is refused with a header that is not UTF-8 or names a column twice', async () => {
    await expect(all(readDelimited(file(Buffer.from('naïve,b\n1,2\n', 'latin1'))))).rejects.toMatchObject({
      code: 'file.unreadable',
      message: expect.stringContaining('UTF-8'),
    });
    await expect(all(readDelimited(file('text,a, text\n1,2,3\n')))).rejects.toMatchObject({
      code: 'file.unreadable',
      message: expect.stringContaining('"text"'),
    });
  });
  it('ends at a row that is too long', async () => {
    const rows = await all(readDelimited(file(`a,b\n1,2\n"${'x\n'.repeat(LONGEST_ROW / 2 + 10)}`)));
    expect(rows[0]?.value).toEqual({ a: '1', b: '2' });
    expect(problems(rows)).toEqual([[3, 'row.too-long']]);
  });
});

describe('plain text', () => {
  it('is cut at an empty line from 2 KiB on, at any line from 8 KiB on', async () => {
    const paragraph = (letter: string) => `${letter.repeat(99)}\n`.repeat(15); // 1500 bytes
    const rows = await all(readPlainText(file(`\n\n${paragraph('a')}\n${paragraph('b')}\n\n${paragraph('c')}`)));
    expect(rows.map(({ place, offset }) => [place, offset])).toEqual([
      [3, 2],
      [36, 3005],
    ]);
    expect(rows.map(({ value }) => value)).toEqual([{ text: `${paragraph('a')}\n${paragraph('b')}`.trimEnd() }, { text: paragraph('c').trimEnd() }]);
    const long = await all(readPlainText(file('x'.repeat(99).concat('\n').repeat(200))));
    expect(long).toHaveLength(3);
    expect(JSON.stringify(long[0]?.value).length).toBeLessThan(DOCUMENT_BYTES_MOST + 400);
  });
  it('loses no letter', async () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'é'), minLength: 1, maxLength: 400 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(word), { maxLength: 40 }), async (paragraphs) => {
        const text = paragraphs.map((lines) => lines.join('\n')).join('\n\n');
        const documents = (await values(readPlainText(file(text)))).map((value) => (value as { text: string }).text); // the reader gives { text }
        expect(documents.join('').replaceAll('\n', '')).toBe(text.replaceAll('\n', ''));
      }),
      { numRuns: 40 },
    );
  });
});

describe('the kind of a file', () => {
  it('follows its name, and its first bytes where those say otherwise', () => {
    const layoutOf = (head: string) => new ObjectLayoutScanner().scan(Buffer.from(head)) ?? 'one';
    const kinds: [string, string, string][] = [
      ['a.jsonl', '{"a":1}', 'jsonl'],
      ['a.json', '[{"a":1}]', 'json'],
      ['a.json', '{"a":1}\n{"a":2}\n', 'jsonl'],
      ['a.json', '{"data":\n[]}', 'json'],
      ['a.jsonl', '[\n{"a":1}\n]', 'json'],
      ['a.jsonl', '[1]\n[2]', 'jsonl'],
      ['a.TSV', 'a\tb', 'csv'],
      ['a.txt', '[1]', 'text'],
      ['a', '[1]', 'json'],
      ['a', 'Once upon a time', 'text'],
      ['a.bin', 'PAR1....', 'parquet'],
    ];
    for (const [name, head, kind] of kinds) expect([name, head, kindOf(name, Buffer.from(head), layoutOf(head))]).toEqual([name, head, kind]);
  });
  it('is refused for what is missing, packed or UTF-16', async () => {
    await expect(openDataFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'file.not-found' });
    await expect(openDataFile(folder)).rejects.toMatchObject({ code: 'file.unreadable' });
    await expect(openDataFile(file(Buffer.from([0x1f, 0x8b, 8])))).rejects.toThrow('gzip');
    await expect(openDataFile(file(Buffer.from('\uFEFFhello', 'utf16le')))).rejects.toThrow('UTF-16');
  });
});
