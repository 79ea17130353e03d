// The merged model of the checkpoint that is being compared with its base, kept between questions: as large as the base, so one at a time.
import { rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TrainingRun } from '../../contract/index.ts';
import type { CheckpointFile } from '../run/checkpoints.ts';
import { runFiles } from '../run/run-folder.ts';

export class KeptMerge {
  #kept: { id: string; step: number; path: string } | null = null;

  /** Where it is, or is to be written. One of another checkpoint goes, also of an earlier one of this step. Throws if the checkpoint is gone. */
  async pathFor({ id, folder }: Pick<TrainingRun, 'id' | 'folder'>, { step, path: checkpoint }: CheckpointFile): Promise<string> {
    const { mtimeMs } = await stat(checkpoint);
    const path = join(runFiles(folder).merged, `step-${step}-${Math.round(mtimeMs)}.gguf`);
    if (this.#kept !== null && this.#kept.path !== path) await this.clear();
    this.#kept = { id, step, path };
    return path;
  }

  /** Nothing happens when it is another one's. */
  async release(id: string, step: number): Promise<void> {
    if (this.#kept?.id === id && this.#kept.step === step) await this.clear();
  }

  async clear(): Promise<void> {
    const kept = this.#kept;
    this.#kept = null;
    if (kept !== null) await rm(dirname(kept.path), { recursive: true, force: true });
  }
}
