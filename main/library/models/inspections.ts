// What the engine says of model files, remembered between starts.
import { z } from 'zod';
import { ErrorBody, Inspection, toErrorBody } from '../../contract/index.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Database } from '../../storage/database.ts';
import { SerialQueue } from '../concurrency.ts';
import { endedProcess, engineReady, isEngineLoss } from './engine-ready.ts';
import { problemOfFiles, problemOfInspection } from './problems.ts';
import type { ModelFiles } from './scan.ts';

export interface Examined {
  inspection: Inspection | null;
  problem: ErrorBody | null;
  /** false when the engine could not be asked: worth another try when it is back */
  final: boolean;
}

/** A file that ended the engine's process this often in a row is not shown to it again until it changes, or is removed and added. */
const maximumAttempts = 2;

const CachedRow = z.object({ inspection: z.string().nullable(), problem: z.string().nullable() });

/** Inspects one file at a time, so that a file that brings the engine down is known. */
export class Inspections {
  readonly #engine: Engine;
  readonly #database: Database;
  readonly #queue = new SerialQueue();
  readonly #stop = new AbortController();

  constructor(engine: Engine, database: Database) {
    this.#engine = engine;
    this.#database = database;
  }

  /** What goes wrong is the model's problem; only a failing database rejects. The engine is asked only if the files changed since the last time. */
  async examine(model: ModelFiles): Promise<Examined> {
    const missing = problemOfFiles(model);
    if (missing) return { inspection: null, problem: missing, final: true };
    const fingerprint = model.files.map((file) => `${file.bytes}:${file.modifiedMs}`).join(' ');
    const cached = await this.#cached(model.path, fingerprint);
    return cached ?? this.#queue.run(() => this.#ask(model.path, fingerprint));
  }

  async forget(path: string): Promise<void> {
    await this.#database.run('DELETE FROM model_inspections WHERE path = ?', [path]);
  }

  dispose(): void {
    this.#stop.abort();
  }

  async #ask(path: string, fingerprint: string): Promise<Examined> {
    const again = await this.#cached(path, fingerprint); // the same file may have been asked for twice
    if (again) return again;
    try {
      const inspection = await this.#inspect(path);
      const examined: Examined = { inspection, problem: problemOfInspection(inspection), final: true };
      await this.#remember(path, fingerprint, examined);
      return examined;
    } catch (error) {
      const problem = toErrorBody(error);
      const deadly = problem.code === 'engine.died';
      const examined: Examined = { inspection: null, problem, final: deadly || !(problem.code.startsWith('engine.') || problem.code === 'cancelled') };
      // Anything but a fault of the file itself may be gone with the next version of the engine.
      if (deadly || problem.code.startsWith('file.')) await this.#remember(path, fingerprint, examined);
      return examined;
    }
  }

  async #inspect(path: string): Promise<Inspection> {
    for (let attempt = 1, after: { processId: number | null } | undefined; ; attempt += 1) {
      const processId = await engineReady(this.#engine, this.#stop.signal, after);
      try {
        return await this.#engine.call('model.inspect', { path }, { signal: this.#stop.signal });
      } catch (error) {
        if (!isEngineLoss(error) || attempt >= maximumAttempts) throw error;
        after = endedProcess(error, processId);
      }
    }
  }

  async #cached(path: string, fingerprint: string): Promise<Examined | null> {
    const row = await this.#database.get('SELECT inspection, problem FROM model_inspections WHERE path = ? AND fingerprint = ?', [path, fingerprint]);
    const parsed = CachedRow.safeParse(row);
    if (!parsed.success) return null;
    const { inspection, problem } = parsed.data;
    if (problem !== null && inspection === null) {
      const known = ErrorBody.safeParse(JSON.parse(problem));
      return known.success ? { inspection: null, problem: known.data, final: true } : null;
    }
    if (inspection === null) return null;
    // An older version of the app may have stored another shape: then ask again.
    const known = Inspection.safeParse(JSON.parse(inspection));
    return known.success ? { inspection: known.data, problem: problemOfInspection(known.data), final: true } : null;
  }

  async #remember(path: string, fingerprint: string, examined: Examined): Promise<void> {
    await this.#database.run(
      `INSERT INTO model_inspections (path, fingerprint, inspection, problem) VALUES (?, ?, ?, ?)
       ON CONFLICT (path) DO UPDATE SET fingerprint = excluded.fingerprint, inspection = excluded.inspection, problem = excluded.problem`,
      [path, fingerprint, examined.inspection && JSON.stringify(examined.inspection), examined.inspection ? null : JSON.stringify(examined.problem)],
    );
  }
}
