// CSV and its relatives: comma, semicolon, tab or bar, whichever the header line has most of. The first row names the fields.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type CsvError, type Info, type Parser, parse } from 'csv-parse';
import { BadRow } from '../problem.ts';
import { CHUNK_BYTES } from './lines.ts';
import { LONGEST_ROW, type Row, type Rows } from './row.ts';

const DELIMITERS = [',', ';', '\t', '|'];
const BATCH_ROWS = 256;
const HEADER_BYTES = 64 * 1024;

/**
 * Rows are objects of texts; `place` is the line where the row begins. A quote in the middle of a field is a character like others. A quoted field that
 * does not end, or a row that is too long, is the last row: where the next one begins is not known.
 */
export async function* readDelimited(path: string): Rows {
  const delimiter = await delimiterOf(path);
  const errors: CsvError[] = [];
  const parser = parse({
    delimiter,
    bom: true,
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
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  file.on('error', (error) => parser.destroy(error));
  file.pipe(parser);
  try {
    yield* rowsOf(parser, errors);
  } finally {
    file.destroy();
  }
}

async function* rowsOf(parser: Parser, errors: CsvError[]): Rows {
  let header: string[] | null = null;
  let [line, offset, emptyLines] = [1, 0, 0];
  let batch: Row[] = [];
  // with `info` a record is { record, info }
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
    line += info.empty_lines - emptyLines;
    if (header === null) header = record.map((name) => name.trim());
    else batch.push(rowOfRecord(header, record, line, offset));
    line += 1 + newlinesIn(record); // info.lines counts \r\n in quotes twice
    offset = info.bytes;
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

const newlinesIn = (record: string[]) => record.reduce((count, field) => count + field.split('\n').length - 1, 0);

function endless(error: CsvError): BadRow {
  if (error.code !== 'CSV_MAX_RECORD_SIZE') return new BadRow('row.not-csv', 'a quote is opened here and never closed; all behind it was taken as one field');
  return new BadRow('row.too-long', `it has more than ${LONGEST_ROW} bytes, perhaps because a quote is not closed; nothing behind it was read`);
}

function rowOfRecord(header: string[], record: string[], place: number, offset: number): Row {
  if (record.length !== header.length) {
    return { place, offset, problem: new BadRow('row.columns', `it has ${record.length} columns, the header has ${header.length} (${header.join(', ')})`) };
  }
  return { place, offset, value: Object.fromEntries(header.map((name, column) => [name, record[column]])) };
}

async function delimiterOf(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    const header = buffer.toString('utf8', 0, bytesRead).split(/\r?\n/, 1)[0] ?? '';
    const count = (delimiter: string) => header.split(delimiter).length;
    return DELIMITERS.reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best));
  } finally {
    await file.close();
  }
}
