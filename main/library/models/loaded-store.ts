// Which models were loaded, for the next start.
import { z } from 'zod';
import { LoadOptions } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';

const LoadedList = z.array(z.object({ id: z.string(), options: LoadOptions }));
export type LoadedList = z.infer<typeof LoadedList>;

const key = 'loaded';

export class LoadedStore {
  readonly #database: Database;
  #write: Promise<unknown> = Promise.resolve();

  constructor(database: Database) {
    this.#database = database;
  }

  /** null: never stored, so this is the first start. The most recently loaded first. */
  async read(): Promise<LoadedList | null> {
    const row = await this.#database.get<{ value: string }>('SELECT value FROM library_state WHERE key = ?', [key]);
    if (!row) return null;
    const parsed = LoadedList.safeParse(JSON.parse(row.value));
    return parsed.success ? parsed.data : [];
  }

  /** Writes one after another; a failed write only costs the next start its models. */
  save(list: LoadedList): void {
    const json = JSON.stringify(list);
    this.#write = this.#write
      .then(() =>
        this.#database.run('INSERT INTO library_state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value', [key, json]),
      )
      .catch(() => undefined);
  }

  async settled(): Promise<void> {
    await this.#write;
  }
}
