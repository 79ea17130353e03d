import { describe, expect, it } from 'vitest';
import { databaseAt, migrateTo } from './schema.ts';

describe('migration 5, message-adapters', () => {
  it('gives messages that are there none', () => {
    const sqlite = databaseAt(4);
    sqlite.exec(`
      INSERT INTO chats (id, title, title_by_user, system_prompt, parameters, created_at, updated_at) VALUES ('c', 'kept', 0, '', '{}', 1, 1);
      INSERT INTO messages (id, chat_id, role, text, reasoning, tool_calls, state, has_routes, created_at) VALUES ('m', 'c', 'assistant', 'hi', '', '[]', 'complete', 0, 1);`);
    migrateTo(sqlite, 5);
    expect(sqlite.prepare('SELECT id, text, adapters FROM messages').all()).toEqual([{ id: 'm', text: 'hi', adapters: '[]' }]);
    expect(() => sqlite.exec("UPDATE messages SET adapters = 'none'")).toThrow('CHECK');
  });
});
