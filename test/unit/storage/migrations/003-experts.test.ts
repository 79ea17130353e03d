import { describe, expect, it } from 'vitest';
import { databaseAt, migrateTo } from './schema.ts';

const addMessages = `
  INSERT INTO chats (id, title, title_by_user, system_prompt, parameters, created_at, updated_at) VALUES ('c', 'kept', 0, '', '{}', 1, 1);
  INSERT INTO messages (id, chat_id, role, text, reasoning, tool_calls, state, has_routes, created_at) VALUES ('m', 'c', 'assistant', 'hi', '', '[]', 'complete', 0, 1);`;
const addUsage = "INSERT INTO message_usage VALUES ('m', 'tiny', '[0,1]', 4, 2, 5, x'00', x'00', 1, 0)";
const addRoutes = "INSERT INTO message_routes VALUES ('m', 0, 1, 1, x'00', '[\"a\"]')";

describe('migration 3, experts', () => {
  it('adds usage and routes to a database with messages and leaves those as they are', () => {
    const sqlite = databaseAt(2);
    sqlite.exec(addMessages);
    migrateTo(sqlite, 3);
    expect(sqlite.prepare('SELECT id, text FROM messages').all()).toEqual([{ id: 'm', text: 'hi' }]);
    sqlite.exec(`${addUsage}; ${addRoutes}`);
    expect(() => sqlite.exec(addUsage)).toThrow('UNIQUE');
    expect(() => sqlite.exec(addRoutes)).toThrow('UNIQUE');
  });

  it('deletes usage and routes with their message and takes none without one', () => {
    const sqlite = databaseAt(3);
    sqlite.pragma('foreign_keys = ON');
    expect(() => sqlite.exec(addUsage)).toThrow('FOREIGN KEY');
    sqlite.exec(`${addMessages}; ${addUsage}; ${addRoutes}; DELETE FROM messages`);
    expect(sqlite.prepare('SELECT (SELECT count(*) FROM message_usage) + (SELECT count(*) FROM message_routes)').pluck().get()).toBe(0);
  });
});
