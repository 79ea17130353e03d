// Which adapters the models of the library have, kept over restarts.
import { z } from 'zod';
import { ModelAdapter } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';

export const AdapterRecord = ModelAdapter.omit({ problem: true });
export type AdapterRecord = z.infer<typeof AdapterRecord>;

const key = 'adapters';

export class AdapterStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async read(): Promise<AdapterRecord[]> {
    const row = await this.#database.get<{ value: string }>('SELECT value FROM library_state WHERE key = ?', [key]);
    const parsed = z.array(AdapterRecord).safeParse(row ? JSON.parse(row.value) : []);
    return parsed.success ? parsed.data : [];
  }

  async save(records: AdapterRecord[]): Promise<void> {
    const sql = 'INSERT INTO library_state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value';
    await this.#database.run(sql, [key, JSON.stringify(records)]);
  }
}
