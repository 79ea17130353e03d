// The one database of the app, behind a worker thread. Every call is durable (WAL, synchronous=FULL) when it resolves.
export type SqlValue = string | number | bigint | Uint8Array | null;
export interface Statement {
  sql: string;
  parameters?: SqlValue[];
}

export interface Database {
  all<Row>(sql: string, parameters?: SqlValue[]): Promise<Row[]>;
  get<Row>(sql: string, parameters?: SqlValue[]): Promise<Row | undefined>;
  run(sql: string, parameters?: SqlValue[]): Promise<{ changes: number }>;
  /** all or nothing, in order */
  transaction(statements: Statement[]): Promise<{ changes: number }[]>;
  close(): Promise<void>;
}
