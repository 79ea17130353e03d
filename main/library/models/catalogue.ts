// The models that the library knows, in memory and in the table `models`.
import path from 'node:path';
import { z } from 'zod';
import { ModelCard, ModelDefaults } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';
import type { Examined } from './inspections.ts';
import type { ModelFiles } from './scan.ts';
import { uniqueSlug } from './slug.ts';
import { modelStem } from './split-names.ts';

export type ModelSource = ModelCard['source'];

export interface ModelRecord {
  readonly id: string;
  path: string;
  source: ModelSource;
  defaults: ModelDefaults;
  note: string | null;
  /** removed from the list, though its file is still in a scanned folder */
  hidden: boolean;
  addedAt: number;
  /** what is on disk, as last looked at; null: not looked at yet */
  located: ModelFiles | null;
  examined: Examined | null;
}

const Row = z.object({
  id: z.string(),
  path: z.string(),
  source: ModelCard.shape.source,
  defaults: z.string(),
  note: z.string().nullable(),
  hidden: z.number(),
  added_at: z.number(),
});

function readDefaults(json: string): ModelDefaults {
  const parsed = ModelDefaults.safeParse(JSON.parse(json));
  return parsed.success ? parsed.data : {};
}

export class Catalogue {
  readonly #database: Database;
  readonly #records = new Map<string, ModelRecord>();

  constructor(database: Database) {
    this.#database = database;
  }

  async start(): Promise<void> {
    const rows = await this.#database.all('SELECT id, path, source, defaults, note, hidden, added_at FROM models ORDER BY added_at, id');
    for (const row of z.array(Row).parse(rows)) {
      this.#records.set(row.id, {
        id: row.id,
        path: row.path,
        source: row.source,
        defaults: readDefaults(row.defaults),
        note: row.note,
        hidden: row.hidden !== 0,
        addedAt: row.added_at,
        located: null,
        examined: null,
      });
    }
  }

  all(): ModelRecord[] {
    return [...this.#records.values()];
  }

  get(id: string): ModelRecord | undefined {
    return this.#records.get(id);
  }

  byPath(file: string): ModelRecord | undefined {
    return this.all().find((record) => record.path === file);
  }

  /** A new record with an id made from the file's name (or `id`), stored. */
  async insert(file: string, source: ModelSource, wanted: { id?: string; note?: string } = {}): Promise<ModelRecord> {
    const id = uniqueSlug(wanted.id ?? modelStem(path.basename(file)), (taken) => this.#records.has(taken));
    const record: ModelRecord = {
      id,
      path: file,
      source,
      defaults: {},
      note: wanted.note ?? null,
      hidden: false,
      addedAt: Date.now(),
      located: null,
      examined: null,
    };
    this.#records.set(id, record);
    await this.save(record);
    return record;
  }

  async save(record: ModelRecord): Promise<void> {
    await this.#database.run(
      `INSERT INTO models (id, path, source, defaults, note, hidden, added_at) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET path = excluded.path, source = excluded.source, defaults = excluded.defaults, note = excluded.note, hidden = excluded.hidden`,
      [record.id, record.path, record.source, JSON.stringify(record.defaults), record.note, record.hidden ? 1 : 0, record.addedAt],
    );
  }

  async delete(record: ModelRecord): Promise<void> {
    this.#records.delete(record.id);
    await this.#database.run('DELETE FROM models WHERE id = ?', [record.id]);
  }
}
