// What every reader gives: rows in the order of the file, in batches, of which only one is in memory at a time.
import { BadRow } from '../problem.ts';

/** A row longer than this many bytes is bad; it is skipped without being kept in memory. */
export const LONGEST_ROW = 16 * 1024 * 1024;

interface Place {
  /** 1-based: the line where the row begins, or its number where lines mean nothing (JSON, Parquet) */
  place: number;
  /** byte of the file where the row begins; null in Parquet */
  offset: number | null;
}
export interface GoodRow extends Place {
  value: unknown;
  problem?: undefined;
}
export interface ProblemRow extends Place {
  value?: undefined;
  problem: BadRow;
}
export type Row = GoodRow | ProblemRow;

export type Rows = AsyncGenerator<Row[]>;

/** `parse` with what it throws as BadRow. */
export function rowOf(place: number, offset: number | null, parse: () => unknown): Row {
  try {
    return { place, offset, value: parse() };
  } catch (error) {
    if (error instanceof BadRow) return { place, offset, problem: error };
    throw error;
  }
}

/** Throws BadRow. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BadRow('row.not-json', error instanceof Error ? error.message : String(error)); // JSON.parse throws SyntaxError only
  }
}

export function tooLong(bytes: number): BadRow {
  return new BadRow('row.too-long', `it has ${bytes} bytes, at most ${LONGEST_ROW} are read`);
}
