import type { Migration } from './migration.ts';

/**
 * Conversations, presets, settings, and the full-text index over titles and messages.
 * `messages.row` is the order of creation and the rowid of the index; times are milliseconds since 1970.
 * `parent_id` does not cascade: SQLite walks cascades recursively and gives up at 1000 levels, which a long conversation exceeds.
 */
export const migration001: Migration = {
  version: 1,
  name: 'chats',
  sql: `
    CREATE TABLE settings (
      key TEXT PRIMARY KEY,
      value TEXT NOT NULL CHECK (json_valid(value))
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE presets (
      id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      system_prompt TEXT NOT NULL,
      parameters TEXT NOT NULL CHECK (json_valid(parameters)),
      created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE chats (
      row INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      title TEXT NOT NULL,
      title_by_user INTEGER NOT NULL CHECK (title_by_user IN (0, 1)),
      model_id TEXT,
      system_prompt TEXT NOT NULL,
      parameters TEXT NOT NULL CHECK (json_valid(parameters)),
      preset_id TEXT,
      leaf_id TEXT,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX chats_by_update ON chats (updated_at);

    CREATE TABLE messages (
      row INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      chat_id TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
      parent_id TEXT REFERENCES messages (id),
      role TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
      text TEXT NOT NULL,
      reasoning TEXT NOT NULL,
      tool_calls TEXT NOT NULL CHECK (json_valid(tool_calls)),
      state TEXT NOT NULL CHECK (state IN ('complete', 'streaming', 'stopped', 'interrupted', 'failed')),
      finish_reason TEXT,
      error TEXT CHECK (error IS NULL OR json_valid(error)),
      model_id TEXT,
      stats TEXT CHECK (stats IS NULL OR json_valid(stats)),
      has_routes INTEGER NOT NULL CHECK (has_routes IN (0, 1)),
      created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX messages_by_chat ON messages (chat_id, row);
    CREATE INDEX messages_by_parent ON messages (parent_id);
    CREATE INDEX messages_streaming ON messages (state) WHERE state = 'streaming';

    CREATE VIRTUAL TABLE messages_search USING fts5 (
      text, content = 'messages', content_rowid = 'row', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
    );
    CREATE TRIGGER messages_search_insert AFTER INSERT ON messages BEGIN
      INSERT INTO messages_search (rowid, text) VALUES (new.row, new.text);
    END;
    CREATE TRIGGER messages_search_delete AFTER DELETE ON messages BEGIN
      INSERT INTO messages_search (messages_search, rowid, text) VALUES ('delete', old.row, old.text);
    END;
    CREATE TRIGGER messages_search_update AFTER UPDATE OF text ON messages WHEN old.text IS NOT new.text BEGIN
      INSERT INTO messages_search (messages_search, rowid, text) VALUES ('delete', old.row, old.text);
      INSERT INTO messages_search (rowid, text) VALUES (new.row, new.text);
    END;

    CREATE VIRTUAL TABLE chats_search USING fts5 (
      title, content = 'chats', content_rowid = 'row', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
    );
    CREATE TRIGGER chats_search_insert AFTER INSERT ON chats BEGIN
      INSERT INTO chats_search (rowid, title) VALUES (new.row, new.title);
    END;
    CREATE TRIGGER chats_search_delete AFTER DELETE ON chats BEGIN
      INSERT INTO chats_search (chats_search, rowid, title) VALUES ('delete', old.row, old.title);
    END;
    CREATE TRIGGER chats_search_update AFTER UPDATE OF title ON chats WHEN old.title IS NOT new.title BEGIN
      INSERT INTO chats_search (chats_search, rowid, title) VALUES ('delete', old.row, old.title);
      INSERT INTO chats_search (rowid, title) VALUES (new.row, new.title);
    END;
  `,
};
