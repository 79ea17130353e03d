import BetterSqlite3 from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { migrate } from '../../../../main/storage/migrate.ts';
import { migrations } from '../../../../main/storage/migrations/index.ts';

/** An in-memory database at `version`, foreign keys off as while migrating. */
export function databaseAt(version: number): BetterSqlite3.Database {
  const sqlite = new BetterSqlite3(':memory:');
  sqlite.pragma('foreign_keys = OFF');
  onTestFinished(() => {
    sqlite.close();
  });
  migrateTo(sqlite, version);
  return sqlite;
}

export function migrateTo(sqlite: BetterSqlite3.Database, version: number): void {
  migrate(sqlite, migrations.slice(0, version));
}
