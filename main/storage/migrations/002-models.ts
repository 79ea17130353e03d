import type { Migration } from './migration.ts';

/** Model library: known files, what the engine said of them, what was loaded, downloads. */
export const migration002: Migration = {
  version: 2,
  name: 'models',
  sql: `
    CREATE TABLE models (
      id TEXT PRIMARY KEY,
      path TEXT NOT NULL UNIQUE,            -- absolute; the first part of a split model
      source TEXT NOT NULL CHECK (source IN ('embedded', 'folder', 'added', 'download')),
      defaults TEXT NOT NULL DEFAULT '{}',  -- JSON, ModelDefaults
      note TEXT,
      hidden INTEGER NOT NULL DEFAULT 0,    -- 1: removed from the list, though its file is still in a scanned folder
      added_at INTEGER NOT NULL             -- milliseconds since 1970
    ) STRICT;

    CREATE TABLE model_inspections (
      path TEXT PRIMARY KEY,
      fingerprint TEXT NOT NULL,            -- sizes and modification times of all parts
      inspection TEXT,                      -- JSON, Inspection; or
      problem TEXT                          -- JSON, ErrorBody
    ) STRICT;

    CREATE TABLE library_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

    CREATE TABLE downloads (
      id TEXT PRIMARY KEY,
      repository TEXT NOT NULL,
      file TEXT NOT NULL,                   -- path in the repository; the first part of a split model
      folder TEXT NOT NULL,                 -- absolute; the download folder when it was started
      state TEXT NOT NULL,
      parts TEXT NOT NULL,                  -- JSON, DownloadPart[]
      error TEXT,                           -- JSON, ErrorBody
      model_id TEXT,
      created_at INTEGER NOT NULL
    ) STRICT;
  `,
};
