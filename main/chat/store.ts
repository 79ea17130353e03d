import { type ChatSummary, type Message, MoebiusError } from '../contract/index.ts';
import type { Database, Statement } from '../storage/database.ts';
import { type ChatRow, type MessageRow, type StoredChat, type SummaryRow, toMessage, toStoredChat, toSummary, updateMessage } from './records.ts';
import { searchExpression } from './search.ts';

const summaryColumns = `id, title, model_id, created_at, updated_at, (SELECT count(*) FROM messages WHERE chat_id = chats.id) AS message_count`;
/** words around a match */
const snippetArguments = `0, char(2), char(3), '…', 16`;

/** Chats and messages in the database. */
export class ChatStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** All or nothing. */
  async write(...statements: Statement[]): Promise<void> {
    await this.#database.transaction(statements);
  }

  /** Rejects with chat.not-found. */
  async chat(id: string): Promise<StoredChat> {
    const row = await this.#database.get<ChatRow>(`SELECT *, 0 AS message_count FROM chats WHERE id = ?`, [id]);
    if (row === undefined) throw chatNotFound(id);
    // last, so that whoever lays running replies over the messages does so right after they were read
    const messages = await this.#database.all<MessageRow>('SELECT * FROM messages WHERE chat_id = ? ORDER BY row', [id]);
    return toStoredChat(row, messages.map(toMessage));
  }

  /** Rejects with message.not-found. */
  async message(id: string): Promise<Message> {
    const row = await this.#database.get<MessageRow>('SELECT * FROM messages WHERE id = ?', [id]);
    if (row === undefined) throw messageNotFound(id);
    return toMessage(row);
  }

  /** Undefined if it was deleted meanwhile. */
  async summary(id: string): Promise<ChatSummary | undefined> {
    const row = await this.#database.get<SummaryRow>(`SELECT ${summaryColumns} FROM chats WHERE id = ?`, [id]);
    return row && toSummary(row, null);
  }

  /** The most recently used first. */
  async summaries(): Promise<ChatSummary[]> {
    const rows = await this.#database.all<SummaryRow>(`SELECT ${summaryColumns} FROM chats ORDER BY updated_at DESC, row DESC`);
    return rows.map((row) => toSummary(row, null));
  }

  /** Chats with a message, or a title, that has all words of `typed` (as prefixes); the best passage of each, the most recently used chat first. */
  async search(typed: string): Promise<ChatSummary[]> {
    const expression = searchExpression(typed);
    if (expression === null) return this.summaries();
    const titles = await this.#database.all<{ chat_id: string; snippet: string }>(
      `SELECT chats.id AS chat_id, snippet(chats_search, ${snippetArguments}) AS snippet
       FROM chats_search JOIN chats ON chats.row = chats_search.rowid WHERE chats_search MATCH ?`,
      [expression],
    );
    const messages = await this.#database.all<{ chat_id: string; snippet: string }>(
      `WITH best AS MATERIALIZED (
         SELECT messages.chat_id, messages_search.rowid AS message_row, min(messages_search.rank)
         FROM messages_search JOIN messages ON messages.row = messages_search.rowid WHERE messages_search MATCH ? GROUP BY messages.chat_id)
       SELECT best.chat_id, snippet(messages_search, ${snippetArguments}) AS snippet
       FROM best JOIN messages_search ON messages_search.rowid = best.message_row WHERE messages_search MATCH ?`,
      [expression, expression],
    );
    const snippets = new Map([...titles, ...messages].map((hit) => [hit.chat_id, hit.snippet]));
    const rows = await this.#database.all<SummaryRow>(
      `SELECT ${summaryColumns} FROM chats WHERE id IN (SELECT value FROM json_each(?)) ORDER BY updated_at DESC, row DESC`,
      [JSON.stringify([...snippets.keys()])],
    );
    return rows.map((row) => toSummary(row, snippets.get(row.id) ?? null));
  }

  /** The text so far of a reply that is being written. */
  async saveText(messageId: string, text: string): Promise<void> {
    await this.#database.run('UPDATE messages SET text = ? WHERE id = ?', [text, messageId]);
  }

  /** A reply's final state; it counts as use of the chat. */
  async saveFinal(message: Message, now: number): Promise<void> {
    await this.write(updateMessage(message), { sql: 'UPDATE chats SET updated_at = ? WHERE id = ?', parameters: [now, message.chatId] });
  }

  async deleteChat(id: string): Promise<void> {
    const { changes } = await this.#database.run('DELETE FROM chats WHERE id = ?', [id]);
    if (changes === 0) throw chatNotFound(id);
  }

  /** What was being written when the app last ended will not be written further. Returns how many. */
  async interruptStreaming(error: Message['error']): Promise<number> {
    const { changes } = await this.#database.run(`UPDATE messages SET state = 'interrupted', error = ? WHERE state = 'streaming'`, [JSON.stringify(error)]);
    return changes;
  }
}

/** In one statement, so that parents and children may go in any order. */
export function deleteMessages(ids: Iterable<string>): Statement {
  return { sql: 'DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))', parameters: [JSON.stringify([...ids])] };
}

export function chatNotFound(id: string): MoebiusError {
  return new MoebiusError('chat.not-found', `There is no conversation ${id}; it may have been deleted.`, { details: { id } });
}

export function messageNotFound(id: string): MoebiusError {
  return new MoebiusError('message.not-found', `There is no message ${id}; it may have been deleted.`, { details: { id } });
}
