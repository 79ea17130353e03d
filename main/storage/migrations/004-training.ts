import type { Migration } from './migration.ts';

/** Training runs; what happens in them is in their folders. */
export const migration004: Migration = {
  version: 4,
  name: 'training',
  sql: `
    CREATE TABLE training_runs (
      id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      model_id TEXT NOT NULL,               -- of the library, when the run was made
      model_path TEXT NOT NULL,             -- absolute
      folder TEXT NOT NULL,                 -- absolute
      plan TEXT NOT NULL,                   -- JSON, TrainingPlan
      state TEXT NOT NULL CHECK (state IN ('queued', 'preparing', 'running', 'pausing', 'paused', 'stopped', 'done', 'failed')),
      interrupted INTEGER NOT NULL DEFAULT 0,
      queue_position INTEGER,               -- of queued ones: the least is the next
      progress TEXT NOT NULL,               -- JSON, RunProgress
      trained TEXT,                         -- JSON, TrainingRun.trained
      unmoved TEXT NOT NULL DEFAULT '[]',   -- JSON, TrainingRun.unmoved
      error TEXT,                           -- JSON, ErrorBody
      created_at INTEGER NOT NULL,          -- milliseconds since 1970
      started_at INTEGER,
      ended_at INTEGER
    ) STRICT;
  `,
};
