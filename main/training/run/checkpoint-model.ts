// A checkpoint as a model that answers: its base with the adapter of what was trained switched on.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MoebiusError } from '../../contract/errors.ts';
import type { Engine } from '../../engine/engine.ts';
import type { LoadedModel, LoadOptions } from '../../engine/protocol.ts';

export interface CheckpointModel {
  checkpoint: string;
  /** GGUF of its base */
  model: string;
  /** for a file that is there meanwhile */
  scratch: string;
  /** a merged model's file, where one is needed: used if it is there, and left there; without it the file is gone behind the work */
  merged?: string;
  options: LoadOptions;
  signal: AbortSignal;
  /** asked first, of the base alone, in the model that then gets the adapter where that can be */
  ofBase?(base: LoadedModel): Promise<void>;
  /** share of a merged model that is written, where one is needed */
  onMerging?(fraction: number): void;
}

export interface AnsweringModel {
  loaded: LoadedModel;
  /** handles of what is to be on in each request; none of a merged model */
  adapters: number[];
}

/** Loads it for the work. Throws as train.export, model.load and adapter.load, and as the work does. */
export async function withCheckpointModel<T>(engine: Engine, what: CheckpointModel, work: (answering: AnsweringModel) => Promise<T>): Promise<T> {
  const { checkpoint, model, scratch, merged, options, signal, ofBase, onMerging } = what;
  const isMerged = merged !== undefined && existsSync(merged);
  await mkdir(scratch, { recursive: true });
  const path = join(scratch, `${randomUUID()}.gguf`);
  const withModel = <R>(of: string, use: (loaded: LoadedModel) => Promise<R>) => withLoaded(engine, { path: of, options, signal }, use);
  try {
    if (!isMerged && (await exportAdapter(engine, { checkpoint, path, signal })))
      return await withModel(model, async (loaded) => {
        await ofBase?.(loaded);
        const { adapter } = await engine.call('adapter.load', { model: loaded.model, path }, { signal });
        return work({ loaded, adapters: [adapter] });
      });
    if (ofBase) await withModel(model, ofBase);
    const file = merged ?? path;
    await mkdir(dirname(file), { recursive: true });
    if (!isMerged)
      await engine.call('train.export', { checkpoint, format: 'merged', path: file }, { signal, onProgress: ({ fraction }) => onMerging?.(fraction) });
    return await withModel(file, (loaded) => work({ loaded, adapters: [] }));
  } finally {
    await rm(path, { force: true });
  }
}

/**
 * false: what was trained has no place in an adapter file, so that only a merged model, as large as the base, answers with it: whole norms and routers, mixtures (a model
 * with experts that its base has not), and what llama.cpp multiplies by without looking for adapters (attention of deepseek2).
 */
async function exportAdapter(engine: Engine, { checkpoint, path, signal }: { checkpoint: string; path: string; signal: AbortSignal }): Promise<boolean> {
  try {
    await engine.call('train.export', { checkpoint, format: 'adapter', path }, { signal });
    return true;
  } catch (error) {
    if (error instanceof MoebiusError && error.code === 'model.unsupported') return false;
    throw error;
  }
}

async function withLoaded<T>(
  engine: Engine,
  { path, options, signal }: { path: string; options: LoadOptions; signal: AbortSignal },
  work: (loaded: LoadedModel) => Promise<T>,
): Promise<T> {
  const loaded = await engine.call('model.load', { path, options }, { signal });
  try {
    return await work(loaded);
  } finally {
    await engine.call('model.unload', { model: loaded.model }).catch(() => undefined); // the engine may be gone
  }
}
