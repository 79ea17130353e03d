// A lock that the operating system keeps: an exclusive transaction on an empty database. It is gone the moment its process is, however that ended; the file stays and means nothing.
import BetterSqlite3 from 'better-sqlite3';

/** ms to wait for a process that is just ending */
const PATIENCE = 250;

export interface ProcessLock {
  release(): void;
}

/** Null while somebody else has it, in this process or another one. Throws what the database does: the file cannot be made. */
export function acquireProcessLock(path: string): ProcessLock | null {
  const lock = new BetterSqlite3(path, { timeout: PATIENCE });
  try {
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (error instanceof BetterSqlite3.SqliteError && error.code.startsWith('SQLITE_BUSY')) return null;
    throw error;
  }
  return { release: () => lock.close() };
}
