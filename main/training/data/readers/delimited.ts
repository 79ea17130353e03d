// CSV and its relatives: comma, semicolon, tab or bar, whichever the header line has most of. The first row names the fields.
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type CsvError, type Info, type Parser, parse } from 'csv-parse';
import { MoebiusError } from '../../../contract/errors.ts';
import { BadRow, quote } from '../problem.ts';
import { BYTE_ORDER_MARK, NEWLINE, PIECE_BYTES, utf8Text } from './lines.ts';
import { LONGEST_ROW, type Row, type Rows, rowOf } from './row.ts';

const DELIMITERS = [',', ';', '\t', '|'];
const BATCH_ROWS = 256;
const HEADER_BYTES = 64 * 1024;

/**
 * Rows are objects of texts; `place` is the line where the row begins. A quote in the middle of a field is a character like others. A quoted field that
 * does not end, or a row that is too long, is the last row: where the next one begins is not known. Throws file.unreadable of a header that is not UTF-8 or names a
 * column twice.
 */
export async function* readDelimited(path: string): Rows {
  const { delimiter, start } = await beginningOf(path);
  const errors: CsvError[] = [];
  const parser = parse({
    delimiter,
    encoding: null, // bytes: what is not UTF-8 would become other characters without a word
    info: true,
    relax_column_count: true, // told below, with the numbers
    relax_quotes: true,
    skip_empty_lines: true,
    skip_records_with_error: true, // else the rows before an error that are parsed already would be lost
    max_record_size: LONGEST_ROW,
    on_skip: (error) => {
      if (error && errors.length === 0) errors.push(error);
      return undefined;
    },
  });
  const file = createReadStream(path, { highWaterMark: PIECE_BYTES, start });
  file.on('error', (error) => parser.destroy(error));
  file.pipe(parser);
  try {
    yield* rowsOf(parser, errors, path, start);
  } finally {
    file.destroy();
  }
}

async function* rowsOf(parser: Parser, errors: CsvError[], path: string, start: number): Rows {
  let header: string[] | null = null;
  let [line, offset, emptyLines] = [1, start, 0];
  let batch: Row[] = [];
  // with `info` a record is { record, info }
  for await (const { record, info } of parser as AsyncIterable<{ record: Buffer[]; info: Info }>) {
    line += info.empty_lines - emptyLines;
    if (header === null) header = headerOf(record, path);
    else batch.push(rowOfRecord(header, record, line, offset));
    line += 1 + newlinesIn(record); // info.lines counts \r\n in quotes twice
    offset = start + info.bytes;
    emptyLines = info.empty_lines;
    if (batch.length >= BATCH_ROWS) {
      yield batch;
      batch = [];
    }
  }
  const [error] = errors;
  if (error) batch.push({ place: line, offset, problem: endless(error) });
  if (batch.length > 0) yield batch;
}

function newlinesIn(record: Buffer[]): number {
  let count = 0;
  for (const field of record) for (let at = field.indexOf(NEWLINE); at >= 0; at = field.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

function headerOf(record: Buffer[], path: string): string[] {
  const refuse = (what: string) => new MoebiusError('file.unreadable', `The first line of ${path}, which names the columns, ${what}.`, { details: { path } });
  if (!record.every((name) => isUtf8(name))) throw refuse('has bytes that are not UTF-8; save the file as UTF-8');
  const names = record.map((name) => name.toString('utf8').trim());
  const repeated = names.find((name, column) => names.indexOf(name) < column);
  if (repeated !== undefined) throw refuse(`has ${quote(repeated)} more than once: give each column a name of its own`);
  return names;
}

function endless(error: CsvError): BadRow {
  if (error.code !== 'CSV_MAX_RECORD_SIZE') return new BadRow('row.not-csv', 'a quote is opened here and never closed; all behind it was taken as one field');
  return new BadRow('row.too-long', `it has more than ${LONGEST_ROW} bytes, perhaps because a quote is not closed; nothing behind it was read`);
}

function rowOfRecord(header: string[], record: Buffer[], place: number, offset: number): Row {
  return rowOf(place, offset, () => {
    if (record.length !== header.length) {
      throw new BadRow('row.columns', `it has ${record.length} columns, the header has ${header.length} (${header.join(', ')})`);
    }
    return Object.fromEntries(record.map((field, column) => [header[column], utf8Text(field)]));
  });
}

/** `start`: behind a byte order mark. */
async function beginningOf(path: string): Promise<{ delimiter: string; start: number }> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    const header = buffer.toString('utf8', 0, bytesRead).split(/\r?\n/, 1)[0] ?? '';
    const count = (delimiter: string) => header.split(delimiter).length;
    const delimiter = DELIMITERS.reduce((best, each) => (count(each) > count(best) ? each : best));
    return { delimiter, start: buffer.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0 };
  } finally {
    await file.close();
  }
}
