// Checkpoints of a run in its folder: step-00000120.checkpoint, each whole or not there (the engine writes them).
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface CheckpointFile {
  step: number;
  path: string;
}

const NAME = /^step-(\d{8,})\.checkpoint$/;

export class Checkpoints {
  readonly #folder: string;
  readonly #keep: number;

  /** keep: how many of the newest stay; the one of step 0 always does. */
  constructor(runFolder: string, keep: number) {
    this.#folder = join(runFolder, 'checkpoints');
    this.#keep = keep;
  }

  async pathFor(step: number): Promise<string> {
    await mkdir(this.#folder, { recursive: true });
    return join(this.#folder, `step-${String(step).padStart(8, '0')}.checkpoint`);
  }

  /** The newest first. */
  async list(): Promise<CheckpointFile[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names
      .flatMap((name) => {
        const step = NAME.exec(name)?.[1];
        return step === undefined ? [] : [{ step: Number(step), path: join(this.#folder, name) }];
      })
      .sort((a, b) => b.step - a.step);
  }

  async prune(): Promise<void> {
    const all = (await this.list()).filter(({ step }) => step > 0);
    for (const { path } of all.slice(this.#keep)) await rm(path, { force: true });
  }
}
