import { describe, expect, it } from 'vitest';
import { databaseAt, migrateTo } from './schema.ts';

const addModel = 'INSERT INTO models (id, path, source, added_at) VALUES (?, ?, ?, 1)';

describe('migration 2, models', () => {
  it('adds the library to a database with chats and leaves those as they are', () => {
    const sqlite = databaseAt(1);
    sqlite.exec(`INSERT INTO chats (id, title, title_by_user, system_prompt, parameters, created_at, updated_at) VALUES ('c', 'kept', 0, '', '{}', 1, 1);
      INSERT INTO settings VALUES ('theme', '"dark"')`);
    migrateTo(sqlite, 2);
    expect(sqlite.prepare('SELECT id, title FROM chats').all()).toEqual([{ id: 'c', title: 'kept' }]);
    expect(sqlite.prepare('SELECT * FROM settings').all()).toEqual([{ key: 'theme', value: '"dark"' }]);
    sqlite.prepare(addModel).run('tiny', '/models/tiny.gguf', 'added');
    expect(sqlite.prepare('SELECT defaults, hidden FROM models').all()).toEqual([{ defaults: '{}', hidden: 0 }]);
  });

  it('refuses the same file twice and unknown sources', () => {
    const sqlite = databaseAt(2);
    sqlite.prepare(addModel).run('tiny', '/models/tiny.gguf', 'added');
    expect(() => sqlite.prepare(addModel).run('other', '/models/tiny.gguf', 'added')).toThrow('UNIQUE');
    expect(() => sqlite.prepare(addModel).run('third', '/models/third.gguf', 'stolen')).toThrow('CHECK');
  });
});
