// The Database interface over SQLite in memory and in this thread: the real schema without the worker's start-up time.
import Sqlite from 'better-sqlite3';
import type { Database, SqlValue, Statement } from '../../main/storage/database.ts';
import { migrations } from '../../main/storage/migrations/index.ts';

export function openMemoryDatabase(): Database {
  const sqlite = new Sqlite(':memory:');
  for (const { sql } of migrations) sqlite.exec(sql);
  const run = (sql: string, parameters: SqlValue[] = []) => ({ changes: sqlite.prepare(sql).run(...parameters).changes });
  return {
    // the caller states the row's shape, as the interface says
    all: async <Row>(sql: string, parameters: SqlValue[] = []) => sqlite.prepare(sql).all(...parameters) as Row[],
    get: async <Row>(sql: string, parameters: SqlValue[] = []) => sqlite.prepare(sql).get(...parameters) as Row | undefined,
    run: async (sql, parameters) => run(sql, parameters),
    transaction: async (statements: Statement[]) => sqlite.transaction(() => statements.map(({ sql, parameters }) => run(sql, parameters)))(),
    close: async () => {
      sqlite.close();
    },
  };
}
