import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Database } from '../../../main/storage/database.ts';
import { openDatabase } from '../../../main/storage/open.ts';
import { scratchDatabasePath } from './scratch.ts';

async function open(path = scratchDatabasePath()): Promise<Database> {
  const database = await openDatabase(path);
  onTestFinished(() => database.close());
  return database;
}

async function withTable(): Promise<Database> {
  const database = await open();
  await database.run('CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE, data BLOB)');
  return database;
}

describe('the database', () => {
  it('gives back what was put in, blobs and nulls included', async () => {
    const database = await withTable();
    expect(await database.run('INSERT INTO things VALUES (?, ?, ?)', [1, 'eins', new Uint8Array([0, 255, 7])])).toEqual({ changes: 1 });
    await database.run('INSERT INTO things VALUES (?, ?, ?)', [2, null, null]);
    const rows = await database.all<{ id: number; name: string | null; data: Uint8Array | null }>('SELECT * FROM things ORDER BY id');
    expect(rows.map((row) => ({ ...row, data: row.data && [...row.data] }))).toEqual([
      { id: 1, name: 'eins', data: [0, 255, 7] },
      { id: 2, name: null, data: null },
    ]);
    expect(await database.get('SELECT name FROM things WHERE id = ?', [1])).toEqual({ name: 'eins' });
    expect(await database.get('SELECT name FROM things WHERE id = ?', [9])).toBeUndefined();
  });

  it('is durable: write-ahead log, synchronous FULL, foreign keys', async () => {
    const database = await open();
    expect(await database.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(await database.get('PRAGMA synchronous')).toEqual({ synchronous: 2 });
    expect(await database.get('PRAGMA foreign_keys')).toEqual({ foreign_keys: 1 });
  });

  it('runs a transaction in order and reports the changes of each statement', async () => {
    const database = await withTable();
    const changes = await database.transaction([
      { sql: 'INSERT INTO things (name) VALUES (?), (?)', parameters: ['a', 'b'] },
      { sql: 'DELETE FROM things WHERE name = ?', parameters: ['a'] },
    ]);
    expect(changes).toEqual([{ changes: 2 }, { changes: 1 }]);
  });

  it('stores nothing of a transaction when one statement fails', async () => {
    const database = await withTable();
    const duplicate = { sql: 'INSERT INTO things (name) VALUES (?)', parameters: ['a'] };
    await expect(database.transaction([duplicate, duplicate])).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_UNIQUE' });
    expect(await database.get('SELECT count(*) AS n FROM things')).toEqual({ n: 0 });
  });

  it('keeps code and message of an SQL error over the thread border', async () => {
    const database = await open();
    await expect(database.all('SELECT nonsense')).rejects.toMatchObject({ name: 'SqlError', code: 'SQLITE_ERROR', message: 'no such column: nonsense' });
  });

  it('goes on after an error', async () => {
    const database = await open();
    await expect(database.run('nonsense')).rejects.toThrow();
    expect(await database.get('SELECT 1 AS one')).toEqual({ one: 1 });
  });

  it('answers a thousand calls made at once, each with its own result', async () => {
    const database = await open();
    const answers = await Promise.all(Array.from({ length: 1000 }, (_, n) => database.get<{ n: number }>(`SELECT ? + ${n % 300} AS n`, [n])));
    expect(answers.map((answer) => answer?.n)).toEqual(Array.from({ length: 1000 }, (_, n) => n + (n % 300)));
  });

  it('says disk.full with the path, stores nothing, and works again when there is room', async () => {
    const database = await withTable();
    const { max_page_count: before } = (await database.get<{ max_page_count: number }>('PRAGMA max_page_count')) ?? { max_page_count: 0 };
    await database.get('PRAGMA max_page_count = 1');
    const big = { sql: 'INSERT INTO things (data) VALUES (zeroblob(1000000))' };
    await expect(database.transaction([{ sql: "INSERT INTO things (name) VALUES ('small')" }, big])).rejects.toMatchObject({
      name: 'MoebiusError',
      code: 'disk.full',
      message: expect.stringMatching(/moebius\.sqlite is full \(\d+ bytes free\)/),
    });
    expect(await database.get('SELECT count(*) AS n FROM things')).toEqual({ n: 0 });
    await database.get(`PRAGMA max_page_count = ${before}`);
    await database.transaction([big]);
    expect(await database.get('SELECT count(*) AS n FROM things')).toEqual({ n: 1 });
  });

  it('keeps its data over close and open', async () => {
    const path = scratchDatabasePath();
    const first = await open(path);
    await first.run("INSERT INTO settings VALUES ('theme', '\"dark\"')");
    await first.close();
    const second = await open(path);
    expect(await second.all('SELECT * FROM settings')).toEqual([{ key: 'theme', value: '"dark"' }]);
  });

  it('finishes earlier calls on close, refuses later ones, and may be closed twice', async () => {
    const database = await withTable();
    const earlier = database.run("INSERT INTO things (name) VALUES ('last')");
    const closing = database.close();
    await expect(database.get('SELECT 1')).rejects.toMatchObject({ code: 'storage.failed', message: expect.stringContaining('is closed') });
    await expect(earlier).resolves.toEqual({ changes: 1 });
    await closing;
    await database.close();
  });

  it('leaves no log behind when closed', async () => {
    const path = scratchDatabasePath();
    await (await open(path)).close();
    expect(() => readFileSync(`${path}-wal`)).toThrow('ENOENT');
  });
});
