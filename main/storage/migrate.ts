import type BetterSqlite3 from 'better-sqlite3';
import { StorageError } from './errors.ts';
import type { Migration } from './migrations/migration.ts';

/**
 * Brings the schema from the file's `user_version` to the last of `migrations`, each in its own transaction, and returns the names
 * of those applied. Refuses a file that is newer than the code with `storage.newer`, untouched. Foreign keys must be off.
 */
export function migrate(connection: BetterSqlite3.Database, migrations: readonly Migration[]): string[] {
  const current = userVersion(connection);
  const newest = migrations.at(-1)?.version ?? 0;
  if (current > newest) {
    const message = `The database ${connection.name} has schema version ${current}; this Moebius knows versions up to ${newest}. Update Moebius, or start it with another data folder.`;
    throw new StorageError('storage.newer', message, { path: connection.name, version: current, supported: newest });
  }
  const pending = migrations.filter((migration) => migration.version > current);
  for (const migration of pending) connection.transaction(() => apply(connection, migration)).immediate();
  return pending.map((migration) => migration.name);
}

function apply(connection: BetterSqlite3.Database, migration: Migration): void {
  if (migration.version !== userVersion(connection) + 1) throw new Error(`Migration ${migration.version} (${migration.name}) is out of order`);
  connection.exec(migration.sql);
  const orphans = connection.prepare('PRAGMA foreign_key_check').all();
  if (orphans.length > 0) throw new Error(`Migration ${migration.version} (${migration.name}) left ${orphans.length} rows with dangling references`);
  connection.pragma(`user_version = ${migration.version}`);
}

function userVersion(connection: BetterSqlite3.Database): number {
  return Number(connection.pragma('user_version', { simple: true }));
}
