// Usage and routes of messages in the database (tables of migration 003).
import type { ExpertUsage } from '../generation/generation.ts';
import type { Database, Statement } from '../storage/database.ts';
import type { RouteRow } from './route-collector.ts';
import { sameShape, UsageCounter } from './usage.ts';

export interface StoredUsage {
  messageId: string;
  modelId: string;
  usage: UsageCounter;
  /** evaluated tokens whose routes are stored, and those that were not kept */
  routesRecorded: number;
  routesOmitted: number;
}

export interface StoredRoutes {
  first_token: number;
  token_count: number;
  prompt: number;
  record: Uint8Array;
  texts: string;
}

export type RouteRowWithTexts = RouteRow & { texts: string[] };

interface UsageRow {
  message_id: string;
  model_id: string;
  moe_layers: string;
  expert_count: number;
  expert_used_count: number;
  tokens: number;
  counts: Uint8Array;
  weights: Uint8Array;
  routes_recorded: number;
  routes_omitted: number;
}

export class ExpertStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async message(messageId: string): Promise<StoredUsage | null> {
    const row = await this.#database.get<UsageRow>('SELECT * FROM message_usage WHERE message_id = ?', [messageId]);
    return row === undefined ? null : fromRow(row);
  }

  /** Of a conversation's messages, oldest first. */
  async chat(chatId: string): Promise<StoredUsage[]> {
    const sql = 'SELECT u.* FROM message_usage u JOIN messages m ON m.id = u.message_id WHERE m.chat_id = ? ORDER BY m.row';
    return (await this.#database.all<UsageRow>(sql, [chatId])).map(fromRow);
  }

  /** Rows that hold any of the tokens offset .. offset+limit-1, in order. */
  routes(messageId: string, offset: number, limit: number): Promise<StoredRoutes[]> {
    const sql =
      'SELECT first_token, token_count, prompt, record, texts FROM message_routes WHERE message_id = ? AND first_token < ? AND first_token + token_count > ? ORDER BY first_token';
    return this.#database.all<StoredRoutes>(sql, [messageId, offset + limit, offset]);
  }

  /**
   * Adds a generation to its message. A message that another model, or a model of another shape, goes on with keeps the latest one's alone.
   * A message that was deleted meanwhile is left alone.
   */
  async add(messageId: string, modelId: string, usage: ExpertUsage, routes: RouteRowWithTexts[], omitted: number): Promise<void> {
    const stored = await this.message(messageId);
    const continued = stored !== null && continues(stored, modelId, usage);
    const total = new UsageCounter(usage);
    total.merge(usage);
    if (continued) total.merge(stored.usage);
    const recorded = routes.reduce((sum, row) => sum + row.tokenCount, continued ? stored.routesRecorded : 0);
    const statements: Statement[] = continued ? [] : [{ sql: 'DELETE FROM message_routes WHERE message_id = ?', parameters: [messageId] }];
    statements.push(usageStatement(messageId, modelId, total, recorded, omitted + (continued ? stored.routesOmitted : 0)));
    for (const row of routes) statements.push(routeStatement(messageId, row));
    await this.#database.transaction(statements);
  }
}

export function continues(stored: StoredUsage, modelId: string, usage: ExpertUsage): boolean {
  return stored.modelId === modelId && sameShape(stored.usage, usage);
}

/** Selecting from messages writes nothing for a message that is gone. */
function usageStatement(messageId: string, modelId: string, usage: ExpertUsage, recorded: number, omitted: number): Statement {
  const sql =
    'INSERT OR REPLACE INTO message_usage (message_id, model_id, moe_layers, expert_count, expert_used_count, tokens, counts, weights, routes_recorded, routes_omitted) ' +
    'SELECT id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM messages WHERE id = ?';
  const { moeLayers, expertCount, expertUsedCount, tokens } = usage;
  const counts = asBytes(Uint32Array.from(usage.counts));
  const weights = asBytes(Float32Array.from(usage.weights));
  return { sql, parameters: [modelId, JSON.stringify(moeLayers), expertCount, expertUsedCount, tokens, counts, weights, recorded, omitted, messageId] };
}

function routeStatement(messageId: string, row: RouteRowWithTexts): Statement {
  const sql = 'INSERT INTO message_routes (message_id, first_token, token_count, prompt, record, texts) SELECT id, ?, ?, ?, ?, ? FROM messages WHERE id = ?';
  return { sql, parameters: [row.firstToken, row.tokenCount, row.prompt ? 1 : 0, row.record, JSON.stringify(row.texts), messageId] };
}

function fromRow(row: UsageRow): StoredUsage {
  const moeLayers = JSON.parse(row.moe_layers) as number[]; // written by usageStatement
  const usage = new UsageCounter({ moeLayers, expertCount: row.expert_count, expertUsedCount: row.expert_used_count });
  usage.tokens = row.tokens;
  // copies, since a blob may lie at any alignment
  usage.counts.set(new Uint32Array(Uint8Array.from(row.counts).buffer));
  usage.weights.set(new Float32Array(Uint8Array.from(row.weights).buffer));
  return { messageId: row.message_id, modelId: row.model_id, usage, routesRecorded: row.routes_recorded, routesOmitted: row.routes_omitted };
}

function asBytes(array: Uint32Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
