// Downloads in the database: they survive the app.
import { z } from 'zod';
import { Download, ErrorBody } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';
import { DownloadPart, type DownloadRecord } from './parts.ts';

const Row = z.object({
  id: z.string(),
  repository: z.string(),
  file: z.string(),
  folder: z.string(),
  state: Download.shape.state,
  parts: z.string(),
  error: z.string().nullable(),
  model_id: z.string().nullable(),
  created_at: z.number(),
});

export class DownloadStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Oldest first. */
  async all(): Promise<DownloadRecord[]> {
    const rows = z.array(Row).parse(await this.#database.all('SELECT * FROM downloads ORDER BY created_at, id'));
    return rows.map((row) => ({
      id: row.id,
      repository: row.repository,
      file: row.file,
      folder: row.folder,
      state: row.state,
      parts: z.array(DownloadPart).parse(JSON.parse(row.parts)),
      error: row.error === null ? null : ErrorBody.parse(JSON.parse(row.error)),
      modelId: row.model_id,
      createdAt: row.created_at,
    }));
  }

  async save(record: DownloadRecord): Promise<void> {
    const { id, repository, file, folder, state, parts, error, modelId, createdAt } = record;
    await this.#database.run(
      `INSERT INTO downloads (id, repository, file, folder, state, parts, error, model_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET state = excluded.state, parts = excluded.parts, error = excluded.error, model_id = excluded.model_id`,
      [id, repository, file, folder, state, JSON.stringify(parts), error && JSON.stringify(error), modelId, createdAt],
    );
  }

  async delete(id: string): Promise<void> {
    await this.#database.run('DELETE FROM downloads WHERE id = ?', [id]);
  }
}
