import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../../../main/storage/migrate.ts';
import { migrations } from '../../../main/storage/migrations/index.ts';

function memory(): BetterSqlite3.Database {
  const sqlite = new BetterSqlite3(':memory:');
  sqlite.pragma('foreign_keys = OFF');
  onTestFinished(() => {
    sqlite.close();
  });
  return sqlite;
}

const version = (sqlite: BetterSqlite3.Database) => sqlite.pragma('user_version', { simple: true });
const first = { version: 1, name: 'first', sql: 'CREATE TABLE a (x INTEGER PRIMARY KEY)' };
const second = { version: 2, name: 'second', sql: 'CREATE TABLE b (x INTEGER REFERENCES a (x)); INSERT INTO b SELECT x FROM a' };

describe('the list of migrations', () => {
  it('has every file of the folder, in order and without gaps', () => {
    const files = readdirSync(join(import.meta.dirname, '../../../main/storage/migrations')).filter((name) => /^\d{3}-/.test(name));
    expect(migrations.map(({ version, name }) => `${String(version).padStart(3, '0')}-${name}.ts`)).toEqual(files.sort());
    expect(migrations.map(({ version }) => version)).toEqual(migrations.map((_, index) => index + 1));
  });

  it('has a test for each', () => {
    const tests = readdirSync(join(import.meta.dirname, 'migrations'));
    expect(tests.sort()).toEqual(expect.arrayContaining(migrations.map(({ version, name }) => `${String(version).padStart(3, '0')}-${name}.test.ts`)));
  });

  it('runs as a whole on an empty database, and a second time not at all', () => {
    const sqlite = memory();
    expect(migrate(sqlite, migrations)).toEqual(migrations.map(({ name }) => name));
    expect(version(sqlite)).toBe(migrations.length);
    expect(migrate(sqlite, migrations)).toEqual([]);
  });
});

describe('migrate', () => {
  it('applies only what is missing and keeps the data', () => {
    const sqlite = memory();
    migrate(sqlite, [first]);
    sqlite.exec('INSERT INTO a VALUES (7)');
    expect(migrate(sqlite, [first, second])).toEqual(['second']);
    expect(sqlite.prepare('SELECT x FROM b').all()).toEqual([{ x: 7 }]);
  });

  it('leaves the database at the last good version when one fails', () => {
    const sqlite = memory();
    const broken = { version: 2, name: 'broken', sql: 'CREATE TABLE half (x); INSERT INTO nowhere VALUES (1)' };
    expect(() => migrate(sqlite, [first, broken])).toThrow('no such table: nowhere');
    expect(version(sqlite)).toBe(1);
    expect(sqlite.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all()).toEqual(['a']);
  });

  it('refuses one that leaves dangling references', () => {
    const sqlite = memory();
    const dangling = { version: 2, name: 'dangling', sql: 'CREATE TABLE b (x INTEGER REFERENCES a (x)); INSERT INTO b VALUES (99)' };
    expect(() => migrate(sqlite, [first, dangling])).toThrow('dangling references');
    expect(version(sqlite)).toBe(1);
  });

  it('refuses a gap', () => {
    expect(() => migrate(memory(), [first, { ...second, version: 3 }])).toThrow('out of order');
  });

  it('refuses a database that is newer than the list', () => {
    const sqlite = memory();
    sqlite.pragma('user_version = 9');
    expect(() => migrate(sqlite, [first])).toThrow(
      expect.objectContaining({ code: 'storage.newer', details: expect.objectContaining({ version: 9, supported: 1 }) }),
    );
  });
});
