import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { expect, it, onTestFinished } from 'vitest';
import { Connection } from '../../main/storage/connection.ts';
import { migrations } from '../../main/storage/migrations/index.ts';

const KILLS = process.env.MOEBIUS_LONG === '1' ? 200 : 20;
const writer = join(import.meta.dirname, 'chat-durability/writer.ts');

type Acknowledgement =
  | { chat: string }
  | { stored: string; chatId: string; parentId: string | null; role: string; text: string }
  | { final: string; text: string };

function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'moebius-durability-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Lets the writer chat for `milliseconds` from its first acknowledgement, kills it, and gives back all that it acknowledged. */
async function writeAndKill(path: string, run: string, milliseconds: number): Promise<Acknowledgement[]> {
  const child: ChildProcess = spawn(process.execPath, [writer, path, run], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  const first = new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the writer ended by itself with code ${code}`)));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      resolve();
    });
  });
  await first;
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  const [, signal] = await closed;
  expect(signal).toBe('SIGKILL');
  // a last line that was cut was not received, so it is no acknowledgement
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

interface StoredMessage {
  id: string;
  chat_id: string;
  parent_id: string | null;
  role: string;
  text: string;
  state: string;
}

/** Reads the file as the app would: through its own opening, with lock, check and migrations. */
function read(path: string): { integrity: unknown; chats: Set<string>; messages: Map<string, StoredMessage> } {
  const connection = new Connection(path, migrations);
  const all = (sql: string) => connection.execute({ kind: 'all', statement: { sql } });
  const integrity = all('PRAGMA integrity_check');
  // rows as the statements name them
  const chats = all('SELECT id FROM chats') as { id: string }[];
  const messages = all('SELECT id, chat_id, parent_id, role, text, state FROM messages') as StoredMessage[];
  all("SELECT * FROM messages_search WHERE messages_search MATCH 'question'");
  connection.close();
  return { integrity, chats: new Set(chats.map((chat) => chat.id)), messages: new Map(messages.map((message) => [message.id, message])) };
}

function check(path: string, acknowledged: Acknowledgement[]): number {
  const { integrity, chats, messages } = read(path);
  expect(integrity).toEqual([{ integrity_check: 'ok' }]);
  const finals = new Set(acknowledged.flatMap((line) => ('final' in line ? [line.final] : [])));
  for (const line of acknowledged) {
    if ('chat' in line) expect(chats).toContain(line.chat);
    else if ('final' in line) expect(messages.get(line.final)).toMatchObject({ text: line.text, state: 'complete' });
    else {
      const { chatId: chat_id, parentId: parent_id, role, text } = line;
      expect(messages.get(line.stored)).toMatchObject({ chat_id, parent_id, role, ...(role === 'user' && { text }) });
      const reply = messages.get(line.stored)?.text ?? '';
      if (role === 'assistant' && !finals.has(line.stored)) expect(wholeReply.startsWith(reply)).toBe(true);
    }
  }
  return acknowledged.length;
}

const wholeReply = Array.from({ length: 40 }, (_, token) => `word${token} `).join('');

it(
  `keeps every acknowledged message through ${KILLS} kills`,
  async () => {
    const path = join(scratchFolder(), 'moebius.sqlite');
    const acknowledged: Acknowledgement[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      acknowledged.push(...(await writeAndKill(path, `run${kill}`, Math.random() * 400)));
      check(path, acknowledged);
    }
    expect(acknowledged.filter((line) => 'stored' in line).length).toBeGreaterThan(KILLS);
    expect(acknowledged.filter((line) => 'final' in line).length).toBeGreaterThan(0);
  },
  KILLS * 15_000,
);

/** A database with commits in its log, each known by the content of `settings` after it. */
function databaseWithLog(path: string): { states: string[]; close: () => void } {
  const connection = new Connection(path, migrations);
  const run = (sql: string, parameters: string[]) => connection.execute({ kind: 'transaction', statements: [{ sql, parameters }] });
  for (let n = 0; n < 10; n++) run('INSERT INTO settings VALUES (?, ?)', [`old${n}`, JSON.stringify('o'.repeat(700))]);
  connection.execute({ kind: 'all', statement: { sql: 'PRAGMA wal_checkpoint(TRUNCATE)' } });
  const states = [contentOf(connection)];
  for (let n = 0; n < 12; n++) {
    run(n % 3 === 2 ? 'UPDATE settings SET value = ? WHERE key < ?' : 'INSERT INTO settings (value, key) VALUES (?, ?)', [
      JSON.stringify(`${n}`.repeat(900)),
      `new${n}`,
    ]);
    states.push(contentOf(connection));
  }
  return { states, close: () => connection.close() };
}

function contentOf(connection: Connection): string {
  return JSON.stringify(connection.execute({ kind: 'all', statement: { sql: 'SELECT * FROM settings ORDER BY key' } }));
}

it('has the state of some earlier commit, and nothing else, when the tail of the log is cut or changed', () => {
  const folder = scratchFolder();
  const original = join(folder, 'original.sqlite');
  const { states, close } = databaseWithLog(original);
  onTestFinished(close);
  const log = readFileSync(`${original}-wal`);
  expect(log.length).toBeGreaterThan(12 * 4096);
  const seen = new Set<number>();
  for (let attempt = 0; attempt < 60; attempt++) {
    const torn = join(folder, `torn${attempt}.sqlite`);
    copyFileSync(original, torn);
    const position = Math.floor(Math.random() * log.length);
    const change = ['cut', 'flip', 'zero'][attempt % 3];
    const bytes = change === 'cut' ? log.subarray(0, position) : Buffer.from(log);
    if (change === 'flip') bytes[position] = (bytes[position] ?? 0) ^ (1 << Math.floor(Math.random() * 8));
    if (change === 'zero') bytes.fill(0, position);
    writeFileSync(`${torn}-wal`, bytes);
    const connection = new Connection(torn, migrations);
    const state = states.indexOf(contentOf(connection));
    expect(connection.execute({ kind: 'all', statement: { sql: 'PRAGMA integrity_check' } })).toEqual([{ integrity_check: 'ok' }]);
    connection.close();
    expect(state, `${change} at byte ${position} of ${log.length}`).toBeGreaterThanOrEqual(0);
    seen.add(state);
  }
  // the damage was really met: neither always the old state nor always the new one
  expect(seen.size).toBeGreaterThan(2);
});

it('finds a committed change again when the log is whole', () => {
  const folder = scratchFolder();
  const original = join(folder, 'original.sqlite');
  const { states, close } = databaseWithLog(original);
  onTestFinished(close);
  const copy = join(folder, 'copy.sqlite');
  copyFileSync(original, copy);
  copyFileSync(`${original}-wal`, `${copy}-wal`);
  const raw = new BetterSqlite3(copy, { readonly: true });
  expect(JSON.stringify(raw.prepare('SELECT * FROM settings ORDER BY key').all())).toBe(states.at(-1));
  raw.close();
});
