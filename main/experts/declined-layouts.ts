// Models for which the user did not want a layout file: remembered over restarts.
import { z } from 'zod';
import type { Database } from '../storage/database.ts';

const key = 'declined-layouts';
const Ids = z.array(z.string());

export class DeclinedLayouts {
  readonly #database: Database;
  #ids: Promise<Set<string>> | null = null;
  #writes: Promise<unknown> = Promise.resolve();

  constructor(database: Database) {
    this.#database = database;
  }

  async has(modelId: string): Promise<boolean> {
    return (await this.#known()).has(modelId);
  }

  /** Durable when it resolves. */
  async set(modelId: string, declined: boolean): Promise<void> {
    const ids = await this.#known();
    if (ids.has(modelId) === declined) return;
    if (declined) ids.add(modelId);
    else ids.delete(modelId);
    const value = JSON.stringify([...ids]);
    const write = this.#writes.then(() =>
      this.#database.run('INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value', [key, value]),
    );
    this.#writes = write.catch(() => undefined);
    await write;
  }

  #known(): Promise<Set<string>> {
    this.#ids ??= this.#read();
    return this.#ids;
  }

  async #read(): Promise<Set<string>> {
    const row = await this.#database.get<{ value: string }>('SELECT value FROM settings WHERE key = ?', [key]);
    const parsed = Ids.safeParse(row === undefined ? [] : JSON.parse(row.value));
    return new Set(parsed.success ? parsed.data : []);
  }
}
