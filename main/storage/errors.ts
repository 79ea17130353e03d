// How SQLite's failures read to the rest of the app. Runs in the database thread, so the contract gives types only here:
// its schemas would take longer to load than the database takes to open.
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import type { ErrorBody, ErrorCode } from '../contract/errors.ts';

/** What the database thread throws where the rest of the app throws a MoebiusError, which it becomes on the other side. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, details: Record<string, unknown>, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.details = details;
  }
}

/** A statement that SQLite refused: a bug of the caller (syntax, constraint, type). `code` is SQLite's, e.g. `SQLITE_CONSTRAINT_UNIQUE`. */
export class SqlError extends Error {
  override readonly name = 'SqlError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export function isCorruption(error: unknown): boolean {
  return error instanceof BetterSqlite3.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(error.code);
}

/** Conditions of the machine, not of the statement: a user can do something about them. */
const machineTrouble = /^SQLITE_(IOERR|CANTOPEN|READONLY|BUSY|LOCKED|NOMEM|PROTOCOL|PERM|AUTH)/;

/** StorageError for what a user can act on, SqlError for what a programmer must; anything else unchanged. */
export function translateError(error: unknown, path: string): unknown {
  if (!(error instanceof BetterSqlite3.SqliteError)) return error;
  const details = { path, sqliteCode: error.code };
  if (error.code === 'SQLITE_FULL') return diskFull(path, error);
  if (isCorruption(error)) {
    const message = `The database ${path} is damaged (${error.message}). Restart Moebius: it checks the file at start and sets a damaged one aside.`;
    return new StorageError('storage.corrupt', message, details, error);
  }
  if (machineTrouble.test(error.code)) {
    const message = `The database ${path} could not be read or written (${error.code}: ${error.message}). Check the disk and the permissions of its folder, then try again.`;
    return new StorageError('storage.failed', message, details, error);
  }
  return new SqlError(error.code, error.message);
}

function diskFull(path: string, cause: Error): StorageError {
  const freeBytes = freeBytesOf(dirname(path));
  const free = freeBytes === null ? '' : ` (${freeBytes} bytes free)`;
  const message = `The disk that holds ${path} is full${free}. Nothing of this change was stored; free some space and try again.`;
  return new StorageError('disk.full', message, { path, freeBytes }, cause);
}

function freeBytesOf(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}

export type WireError = { kind: 'storage'; body: ErrorBody } | { kind: 'sql'; code: string; message: string } | { kind: 'bug'; message: string; stack: string };

export function toWireError(error: unknown): WireError {
  if (error instanceof StorageError) return { kind: 'storage', body: { code: error.code, message: error.message, details: error.details } };
  if (error instanceof SqlError) return { kind: 'sql', code: error.code, message: error.message };
  if (error instanceof Error) return { kind: 'bug', message: error.message, stack: error.stack ?? '' };
  return { kind: 'bug', message: String(error), stack: '' };
}
