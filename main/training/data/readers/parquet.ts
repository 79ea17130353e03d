// Parquet, at most one row group in memory at a time.
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { asyncBufferFromFile } from 'hyparquet/src/node.js';
import { compressors } from 'hyparquet-compressors';
import { MoebiusError } from '../../../contract/errors.ts';
import { BadRow } from '../problem.ts';
import type { Row, Rows } from './row.ts';

/** A larger row group would not leave the memory that is promised. Bytes before compression. */
const LARGEST_ROW_GROUP = 192 * 1024 * 1024;
/** Of short rows a row group has a million: as objects they would take hundreds of MB. Pages of other rows are skipped, unless a column is nested. */
const PIECE_ROWS = 32_768;
const BATCH_ROWS = 256;

/** Rows are numbered from 1. Throws file.corrupt, file.unreadable. */
export async function* readParquet(path: string): Rows {
  const { file, metadata } = await openParquet(path);
  let first = 0;
  for (const [group, { num_rows, total_byte_size }] of metadata.row_groups.entries()) {
    const count = Number(num_rows);
    if (Number(total_byte_size) > LARGEST_ROW_GROUP) throw groupTooLarge(path, group, Number(total_byte_size));
    for (let begin = 0; begin < count; begin += PIECE_ROWS) yield* readPiece(file, metadata, first + begin, Math.min(PIECE_ROWS, count - begin), group);
    first += count;
  }
}

async function openParquet(path: string): Promise<{ file: AsyncBuffer; metadata: FileMetaData }> {
  try {
    const file = await asyncBufferFromFile(path);
    return { file, metadata: await parquetMetadataAsync(file) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MoebiusError('file.corrupt', `${path} cannot be read as Parquet: ${why}.`, { details: { path }, cause: error });
  }
}

async function* readPiece(file: AsyncBuffer, metadata: FileMetaData, first: number, count: number, group: number): Rows {
  let values: Record<string, unknown>[];
  try {
    values = await parquetReadObjects({ file, metadata, compressors, rowStart: first, rowEnd: first + count });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const rows = Array.from({ length: count }, (_, row): Row => {
      return { place: first + row + 1, offset: null, problem: new BadRow('row.unreadable', `row group ${group + 1}: ${why}`) };
    });
    yield rows;
    return;
  }
  for (let begin = 0; begin < values.length; begin += BATCH_ROWS) {
    yield values.slice(begin, begin + BATCH_ROWS).map((value, row): Row => ({ place: first + begin + row + 1, offset: null, value: plain(value) }));
  }
}

/** As JSON would have it: 64-bit numbers as numbers, dates as texts, bytes as texts. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, plain(field)]));
  return value;
}

function groupTooLarge(path: string, group: number, bytes: number): MoebiusError {
  return new MoebiusError(
    'file.unreadable',
    `Row group ${group + 1} of ${path} has ${bytes} bytes, at most ${LARGEST_ROW_GROUP} are read at once. Write the file again with smaller row groups (in pyarrow: row_group_size=10000).`,
    { details: { path, group: group + 1, bytes, limit: LARGEST_ROW_GROUP } },
  );
}
