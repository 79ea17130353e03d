/** One step of the schema. Never edited once released: a change is a new migration. */
export interface Migration {
  /** 1, 2, 3 ...: the file's `user_version` after it */
  version: number;
  name: string;
  /** any number of statements; runs in one transaction with foreign keys unchecked, which are then checked as a whole */
  sql: string;
}
