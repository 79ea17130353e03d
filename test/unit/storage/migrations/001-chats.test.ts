import type BetterSqlite3 from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { databaseAt, migrateTo } from './schema.ts';

function withForeignKeys(): BetterSqlite3.Database {
  const sqlite = databaseAt(1);
  sqlite.pragma('foreign_keys = ON');
  return sqlite;
}

function addChat(sqlite: BetterSqlite3.Database, id: string, title: string): void {
  sqlite
    .prepare("INSERT INTO chats (id, title, title_by_user, system_prompt, parameters, created_at, updated_at) VALUES (?, ?, 0, '', '{}', 1, 1)")
    .run(id, title);
}

function addMessage(sqlite: BetterSqlite3.Database, id: string, chat: string, parent: string | null, text: string): void {
  const sql = `INSERT INTO messages (id, chat_id, parent_id, role, text, reasoning, tool_calls, state, has_routes, created_at)
    VALUES (?, ?, ?, 'user', ?, '', '[]', 'complete', 0, 1)`;
  sqlite.prepare(sql).run(id, chat, parent, text);
}

const found = (sqlite: BetterSqlite3.Database, query: string) =>
  sqlite.prepare('SELECT m.id FROM messages_search s JOIN messages m ON m.row = s.rowid WHERE s.text MATCH ? ORDER BY m.row').pluck().all(query);

/** Throws SQLITE_CORRUPT_VTAB when index and content differ. */
function checkIndex(sqlite: BetterSqlite3.Database): void {
  sqlite.exec("INSERT INTO messages_search (messages_search, rank) VALUES ('integrity-check', 1)");
  sqlite.exec("INSERT INTO chats_search (chats_search, rank) VALUES ('integrity-check', 1)");
}

describe('migration 1, chats', () => {
  it('makes the tables of an empty database', () => {
    const sqlite = databaseAt(0);
    expect(sqlite.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()).toBe(0);
    migrateTo(sqlite, 1);
    const tables = sqlite
      .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
      .pluck()
      .all();
    expect(tables).toEqual(['chats', 'messages', 'presets', 'settings']);
  });

  it('refuses values that are not JSON, unknown roles and unknown states', () => {
    const sqlite = withForeignKeys();
    expect(() => sqlite.exec("INSERT INTO settings VALUES ('a', 'not json')")).toThrow('CHECK');
    addChat(sqlite, 'c', '');
    addMessage(sqlite, 'm', 'c', null, '');
    expect(() => sqlite.exec("UPDATE messages SET role = 'robot'")).toThrow('CHECK');
    expect(() => sqlite.exec("UPDATE messages SET state = 'odd'")).toThrow('CHECK');
  });

  it('keeps the index equal to the texts through inserts, changes and deletes of any text', () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('add'), text: fc.string({ unit: 'binary' }) }),
      fc.record({ kind: fc.constantFrom('change', 'delete'), text: fc.string({ unit: 'grapheme' }), index: fc.nat(5) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 15 }), (operations) => {
        const sqlite = databaseAt(1);
        addChat(sqlite, 'c', 'title');
        operations.forEach((step, n) => {
          if (!('index' in step)) addMessage(sqlite, String(n), 'c', null, step.text);
          else if (step.kind === 'change') sqlite.prepare('UPDATE messages SET text = ? WHERE row = ?').run(step.text, step.index);
          else sqlite.prepare('DELETE FROM messages WHERE row = ?').run(step.index);
          sqlite.prepare('UPDATE chats SET title = ?').run(step.text);
        });
        checkIndex(sqlite);
      }),
      { numRuns: 40 },
    );
  });

  it('finds words without regard to case and accents, and forgets deleted ones', () => {
    const sqlite = withForeignKeys();
    addChat(sqlite, 'c', 'title');
    addMessage(sqlite, 'a', 'c', null, 'Der Übermut');
    addMessage(sqlite, 'b', 'c', 'a', 'ubermut again');
    expect(found(sqlite, 'übermut')).toEqual(['a', 'b']);
    sqlite.exec("DELETE FROM chats WHERE id = 'c'");
    expect(found(sqlite, 'übermut')).toEqual([]);
    checkIndex(sqlite);
  });

  it('deletes a chat with a conversation of 3000 messages', () => {
    const sqlite = withForeignKeys();
    addChat(sqlite, 'c', 'long');
    sqlite.transaction(() => {
      for (let n = 0; n < 3000; n++) addMessage(sqlite, `m${n}`, 'c', n === 0 ? null : `m${n - 1}`, `text ${n}`);
    })();
    sqlite.exec("DELETE FROM chats WHERE id = 'c'");
    expect(sqlite.prepare('SELECT count(*) FROM messages').pluck().get()).toBe(0);
    checkIndex(sqlite);
  });

  it('refuses a message under a parent that does not exist', () => {
    const sqlite = withForeignKeys();
    addChat(sqlite, 'c', '');
    expect(() => addMessage(sqlite, 'm', 'c', 'nobody', '')).toThrow('FOREIGN KEY');
  });
});
