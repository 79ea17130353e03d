// A checkpoint as a model that answers: its base with what was trained worked in.
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import type { LoadedModel, LoadOptions } from '../../engine/protocol.ts';

export interface CheckpointModel {
  checkpoint: string;
  /** for a file that is there meanwhile */
  scratch: string;
  options: LoadOptions;
  signal: AbortSignal;
}

/** Loads it for the work. Throws as train.export and model.load, and as the work does. */
export async function withCheckpointModel<T>(
  engine: Engine,
  { checkpoint, scratch, options, signal }: CheckpointModel,
  work: (loaded: LoadedModel) => Promise<T>,
): Promise<T> {
  await mkdir(scratch, { recursive: true });
  const path = join(scratch, `${randomUUID()}.gguf`);
  try {
    await engine.call('train.export', { checkpoint, format: 'merged', path }, { signal });
    const loaded = await engine.call('model.load', { path, options }, { signal });
    try {
      return await work(loaded);
    } finally {
      await engine.call('model.unload', { model: loaded.model }).catch(() => undefined); // the engine may be gone
    }
  } finally {
    await rm(path, { force: true });
  }
}
