import type { Migration } from './migration.ts';

/**
 * Which experts a message used. Counters are little-endian arrays of moe_layers x expert_count cells, row-major: u32 counts, f32 weight sums.
 * message_routes: one row per run of at most 256 evaluated tokens, in order of evaluation; first_token counts them over the message.
 * `record` is a record of main/experts/trace-format.md, `texts` a JSON array of what each token reads as.
 */
export const migration003: Migration = {
  version: 3,
  name: 'experts',
  sql: `
    CREATE TABLE message_usage (
      message_id TEXT PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
      model_id TEXT NOT NULL,
      moe_layers TEXT NOT NULL CHECK (json_valid(moe_layers)),
      expert_count INTEGER NOT NULL,
      expert_used_count INTEGER NOT NULL,
      tokens INTEGER NOT NULL,
      counts BLOB NOT NULL,
      weights BLOB NOT NULL,
      routes_recorded INTEGER NOT NULL,
      routes_omitted INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE message_routes (
      message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
      first_token INTEGER NOT NULL,
      token_count INTEGER NOT NULL,
      prompt INTEGER NOT NULL CHECK (prompt IN (0, 1)),
      record BLOB NOT NULL,
      texts TEXT NOT NULL CHECK (json_valid(texts)),
      PRIMARY KEY (message_id, first_token)
    ) STRICT;
  `,
};
