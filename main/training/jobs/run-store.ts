// Training runs in the database: they survive the app.
import { z } from 'zod';
import { ErrorBody, RunProgress, RunState, TrainingPlan, TrainingRun } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';

const Row = z.object({
  id: z.string(),
  name: z.string(),
  model_id: z.string(),
  model_path: z.string(),
  folder: z.string(),
  plan: z.string(),
  state: RunState,
  interrupted: z.number(),
  queue_position: z.number().nullable(),
  progress: z.string(),
  trained: z.string().nullable(),
  unmoved: z.string(),
  error: z.string().nullable(),
  created_at: z.number(),
  started_at: z.number().nullable(),
  ended_at: z.number().nullable(),
});

export class RunStore {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Oldest first. */
  async all(): Promise<TrainingRun[]> {
    const rows = z.array(Row).parse(await this.#database.all('SELECT * FROM training_runs ORDER BY created_at, id'));
    return rows.map(fromRow);
  }

  async save(run: TrainingRun): Promise<void> {
    await this.#database.run(
      `INSERT INTO training_runs (id, name, model_id, model_path, folder, plan, created_at, state, interrupted, queue_position, progress, trained, unmoved, error, started_at, ended_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, state = excluded.state, interrupted = excluded.interrupted, queue_position = excluded.queue_position,
         progress = excluded.progress, trained = excluded.trained, unmoved = excluded.unmoved, error = excluded.error, started_at = excluded.started_at, ended_at = excluded.ended_at`,
      [
        ...[run.id, run.name, run.modelId, run.modelPath, run.folder, JSON.stringify(run.plan), run.createdAt],
        ...[run.state, run.interrupted ? 1 : 0, run.queuePlace, JSON.stringify(run.progress)],
        ...[run.trained && JSON.stringify(run.trained), JSON.stringify(run.unmoved), run.error && JSON.stringify(run.error), run.startedAt, run.endedAt],
      ],
    );
  }

  async delete(id: string): Promise<void> {
    await this.#database.run('DELETE FROM training_runs WHERE id = ?', [id]);
  }
}

function fromRow(row: z.infer<typeof Row>): TrainingRun {
  const plan = TrainingPlan.parse(JSON.parse(row.plan));
  return {
    id: row.id,
    name: row.name,
    modelId: row.model_id,
    modelPath: row.model_path,
    folder: row.folder,
    plan,
    state: row.state,
    queuePlace: row.queue_position,
    interrupted: row.interrupted === 1,
    preparing: null,
    progress: RunProgress.parse(JSON.parse(row.progress)),
    steps: plan.schedule.steps,
    trained: row.trained === null ? null : TrainingRun.shape.trained.parse(JSON.parse(row.trained)),
    unmoved: TrainingRun.shape.unmoved.parse(JSON.parse(row.unmoved)),
    error: row.error === null ? null : ErrorBody.parse(JSON.parse(row.error)),
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}
