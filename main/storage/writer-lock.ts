// One writer per database, kept by the operating system: an exclusive transaction on an empty database beside it.
// The lock is gone the moment its process is, however that ended; the file `<database>.lock` itself stays and means nothing.
import BetterSqlite3 from 'better-sqlite3';
import { StorageError } from './errors.ts';

/** ms to wait for a Moebius that is just closing */
const PATIENCE = 250;

export interface WriterLock {
  release(): void;
}

/** Throws `storage.locked` while another connection, in this process or another one, holds it. */
export function acquireWriterLock(databasePath: string): WriterLock {
  const lock = new BetterSqlite3(`${databasePath}.lock`, { timeout: PATIENCE });
  try {
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!(error instanceof BetterSqlite3.SqliteError) || !error.code.startsWith('SQLITE_BUSY')) throw error;
    const message = `Another Moebius is using ${databasePath}. Close it first, or start this one with another data folder.`;
    throw new StorageError('storage.locked', message, { path: databasePath }, error);
  }
  return { release: () => lock.close() };
}
