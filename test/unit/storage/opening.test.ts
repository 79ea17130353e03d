import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import BetterSqlite3 from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { migrations } from '../../../main/storage/migrations/index.ts';
import { openDatabase } from '../../../main/storage/open.ts';
import { scratchDatabasePath, scratchFolder } from './scratch.ts';

const openModule = pathToFileURL(join(import.meta.dirname, '../../../main/storage/open.ts')).href;

/** A process that holds the database open, ready when this resolves. */
async function holdElsewhere(path: string) {
  const script = `const { openDatabase } = await import(${JSON.stringify(openModule)}); await openDatabase(${JSON.stringify(path)}); console.log('open');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await once(child.stdout, 'data');
  return child;
}

async function fillAndClose(path: string): Promise<void> {
  const database = await openDatabase(path);
  for (let n = 0; n < 20; n++) await database.run('INSERT INTO settings VALUES (?, ?)', [`key ${n}`, JSON.stringify('x'.repeat(2000))]);
  await database.close();
}

describe('one writer', () => {
  it('refuses a second open in the same process', async () => {
    const path = scratchDatabasePath();
    const first = await openDatabase(path);
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage.locked', message: expect.stringContaining('Another Moebius') });
    expect(await first.get('SELECT 1 AS one')).toEqual({ one: 1 });
    await first.close();
    await (await openDatabase(path)).close();
  });

  it('refuses a second process, until the first one is killed', async () => {
    const path = scratchDatabasePath();
    const child = await holdElsewhere(path);
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage.locked' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await openDatabase(path)).close();
  });
});

describe('a damaged database', () => {
  it.each([
    ['overwritten at the start', (path: string) => writeFileSync(path, 'not a database at all'.repeat(500))],
    ['cut in half', (path: string) => truncateSync(path, 40_960)],
    ['with a page of rubbish', (path: string) => writeFileSync(path, overwritePage(readFileSync(path), 2))],
  ])('%s is refused, kept aside byte for byte, and the next open starts anew', async (_, damage) => {
    const path = scratchDatabasePath();
    await fillAndClose(path);
    damage(path);
    const damaged = readFileSync(path);
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage.corrupt', message: expect.stringMatching(/is damaged .* kept as .*corrupt-/) });
    const kept = readdirSync(dirname(path)).filter((name) => name.includes('.corrupt-'));
    expect(kept).toHaveLength(1);
    expect(readFileSync(join(dirname(path), kept[0] ?? '')).equals(damaged)).toBe(true);
    const fresh = await openDatabase(path);
    expect(await fresh.all('SELECT * FROM settings')).toEqual([]);
    await fresh.close();
  });

  it('keeps its write-ahead log with it', async () => {
    const path = scratchDatabasePath();
    writeFileSync(path, 'not a database at all'.repeat(500));
    writeFileSync(`${path}-wal`, 'a log');
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage.corrupt' });
    const log = readdirSync(dirname(path)).find((name) => name.includes('.corrupt-') && name.endsWith('-wal'));
    expect(log && readFileSync(join(dirname(path), log), 'utf8')).toBe('a log');
    expect(existsSync(`${path}-wal`)).toBe(false);
  });
});

/** Page `number` (from 1, 4096 bytes each) replaced by 0xA5. */
function overwritePage(file: Buffer, number: number): Buffer {
  const copy = Buffer.from(file);
  copy.fill(0xa5, (number - 1) * 4096, number * 4096);
  return copy;
}

describe('opening', () => {
  it('makes the folders', async () => {
    const path = join(scratchFolder(), 'a', 'b', 'moebius.sqlite');
    await (await openDatabase(path)).close();
    expect(existsSync(path)).toBe(true);
  });

  it('says so when the folder cannot be one', async () => {
    const folder = scratchFolder();
    writeFileSync(join(folder, 'file'), '');
    await expect(openDatabase(join(folder, 'file', 'moebius.sqlite'))).rejects.toMatchObject({
      code: 'storage.failed',
      message: expect.stringContaining('another data folder'),
    });
  });

  it('says so when the path is a folder', async () => {
    const path = scratchDatabasePath();
    mkdirSync(path);
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage.failed' });
  });

  it('refuses a database newer than the code and leaves it as it is', async () => {
    const path = scratchDatabasePath();
    await fillAndClose(path);
    const newer = new BetterSqlite3(path);
    newer.pragma('user_version = 1000');
    newer.close();
    await expect(openDatabase(path)).rejects.toMatchObject({ code: 'storage.newer', message: expect.stringContaining(`up to ${migrations.length}`) });
    const untouched = new BetterSqlite3(path);
    expect(untouched.pragma('user_version', { simple: true })).toBe(1000);
    expect(untouched.prepare('SELECT count(*) AS n FROM settings').get()).toEqual({ n: 20 });
    untouched.close();
  });
});
