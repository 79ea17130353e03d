import type { Migration } from './migration.ts';

/** Which adapters were on when a message was written: a JSON array of the contract's AppliedAdapter. */
export const migration005: Migration = {
  version: 5,
  name: 'message-adapters',
  sql: "ALTER TABLE messages ADD COLUMN adapters TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(adapters));",
};
