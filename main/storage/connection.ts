// The synchronous half: opens, checks and migrates the file, and executes requests. Runs in the worker thread only.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { setAside } from './aside.ts';
import type { SqlValue, Statement } from './database.ts';
import { isCorruption, StorageError, translateError } from './errors.ts';
import { migrate } from './migrate.ts';
import type { Migration } from './migrations/migration.ts';
import { acquireWriterLock, type WriterLock } from './writer-lock.ts';

/** prepared statements kept; the app has about a hundred */
const STATEMENT_LIMIT = 256;

export type Operation = { kind: 'all' | 'get' | 'run'; statement: Statement } | { kind: 'transaction'; statements: Statement[] };

export interface OpenReport {
  migrations: string[];
  journalMode: string;
  milliseconds: number;
}

export class Connection {
  readonly report: OpenReport;
  readonly #path: string;
  readonly #lock: WriterLock;
  readonly #sqlite: BetterSqlite3.Database;
  readonly #prepared = new Map<string, BetterSqlite3.Statement>();

  /** Throws StorageError: storage.locked, storage.newer, storage.corrupt (the file has then been set aside), storage.failed, disk.full. */
  constructor(path: string, migrations: readonly Migration[]) {
    const begin = performance.now();
    this.#path = path;
    let lock: WriterLock | undefined;
    try {
      mkdirSync(dirname(path), { recursive: true });
      lock = acquireWriterLock(path);
      this.#lock = lock;
      const opened = this.#open(migrations);
      this.#sqlite = opened.sqlite;
      this.report = { ...opened.report, milliseconds: Math.round(performance.now() - begin) };
    } catch (error) {
      lock?.release();
      throw openingError(error, path);
    }
  }

  /** What `all`, `get`, `run` and `transaction` of Database give. Throws StorageError or SqlError. */
  execute(operation: Operation): unknown {
    try {
      if (operation.kind === 'transaction') return this.#transaction(operation.statements);
      const { sql, parameters } = operation.statement;
      if (operation.kind === 'run') return this.#run(operation.statement);
      const statement = this.#prepare(sql);
      return operation.kind === 'all' ? statement.all(...bindable(parameters)) : statement.get(...bindable(parameters));
    } catch (error) {
      throw translateError(error, this.#path);
    }
  }

  close(): void {
    this.#sqlite.close();
    this.#lock.release();
  }

  #open(migrations: readonly Migration[]): { sqlite: BetterSqlite3.Database; report: Omit<OpenReport, 'milliseconds'> } {
    let sqlite: BetterSqlite3.Database | undefined;
    try {
      sqlite = new BetterSqlite3(this.#path, { timeout: 5000 });
      const journalMode = configure(sqlite);
      check(sqlite);
      const applied = migrate(sqlite, migrations);
      sqlite.pragma('foreign_keys = ON');
      return { sqlite, report: { migrations: applied, journalMode } };
    } catch (error) {
      const close = () => sqlite?.close();
      if (isCorruption(error)) throw corruptError(this.#path, setAside(this.#path, close), error);
      close();
      throw error;
    }
  }

  #transaction(statements: Statement[]): { changes: number }[] {
    return this.#sqlite.transaction(() => statements.map((statement) => this.#run(statement))).immediate();
  }

  #run({ sql, parameters }: Statement): { changes: number } {
    return { changes: this.#prepare(sql).run(...bindable(parameters)).changes };
  }

  /** The least recently used statement goes when there are too many. */
  #prepare(sql: string): BetterSqlite3.Statement {
    const known = this.#prepared.get(sql);
    const statement = known ?? this.#sqlite.prepare(sql);
    if (known !== undefined) this.#prepared.delete(sql);
    this.#prepared.set(sql, statement);
    const oldest = this.#prepared.keys().next();
    if (this.#prepared.size > STATEMENT_LIMIT && !oldest.done) this.#prepared.delete(oldest.value);
    return statement;
  }
}

/** Blobs arrive from the other thread as plain Uint8Arrays; SQLite's binding takes Buffers. */
function bindable(parameters: SqlValue[] = []): SqlValue[] {
  return parameters.map((value) => (value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value));
}

/** Returns the journal mode in force: `wal`, except on file systems without shared memory. */
function configure(sqlite: BetterSqlite3.Database): string {
  const journalMode = String(sqlite.pragma('journal_mode = WAL', { simple: true }));
  sqlite.pragma('synchronous = FULL');
  // macOS: fsync alone does not reach the platter
  sqlite.pragma('fullfsync = ON');
  sqlite.pragma('checkpoint_fullfsync = ON');
  sqlite.pragma('journal_size_limit = 67108864');
  sqlite.pragma('foreign_keys = OFF');
  return journalMode;
}

function check(sqlite: BetterSqlite3.Database): void {
  const verdict = String(sqlite.pragma('quick_check(1)', { simple: true }));
  if (verdict !== 'ok') throw new BetterSqlite3.SqliteError(verdict.replaceAll(/\s+/g, ' '), 'SQLITE_CORRUPT');
}

function corruptError(path: string, kept: string, cause: unknown): StorageError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `The database ${path} is damaged (${reason}). It was kept as ${kept}, nothing was deleted. Start Moebius again to begin with an empty one, or put a backup at ${path} first.`;
  return new StorageError('storage.corrupt', message, { path, kept, reason }, cause);
}

function openingError(error: unknown, path: string): unknown {
  const translated = translateError(error, path);
  if (translated instanceof StorageError || !(translated instanceof Error) || !('code' in translated) || !String(translated.code).startsWith('E'))
    return translated;
  const message = `The data folder ${dirname(path)} cannot be used (${translated.message}). Check its permissions, or start Moebius with another data folder.`;
  return new StorageError('storage.failed', message, { path }, error);
}
