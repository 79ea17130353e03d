// Remembers the super experts of models whose experts are partly on disk: the engine finds them while it computes, and is told at the next load.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engine } from '../engine/engine.ts';
import { type Logger, silentLogger } from '../engine/log.ts';
import { type LoadedModel, SuperExpert } from '../engine/protocol.ts';

/** `model`: which file they are of; another one of the same name has others. */
const Remembered = z.object({ model: z.string(), superExperts: z.array(SuperExpert) });

export interface SuperExpertMemoryDependencies {
  engine: Engine;
  /** one small file for each model */
  folder: string;
  logger?: Logger;
}

export class SuperExpertMemory {
  readonly #engine: Engine;
  readonly #folder: string;
  readonly #logger: Logger;
  /** engine handles of models of which nothing new is to be learnt */
  readonly #known = new Set<number>();

  constructor({ engine, folder, logger = silentLogger }: SuperExpertMemoryDependencies) {
    this.#engine = engine;
    this.#folder = folder;
    this.#logger = logger;
  }

  /** Tells the engine what an earlier life of the model has shown. */
  loaded(modelId: string, loaded: LoadedModel): Promise<void> {
    return this.#quietly(modelId, loaded, async () => {
      const text = await readFile(this.#pathOf(modelId), 'utf8').catch(() => null);
      if (text === null) return;
      const remembered = Remembered.parse(JSON.parse(text));
      if (remembered.model !== identityOf(loaded)) return;
      this.#known.add(loaded.model);
      if (remembered.superExperts.length > 0) await this.#engine.call('experts.configure', { model: loaded.model, superExperts: remembered.superExperts });
    });
  }

  /** After a generation: keeps what the engine has found, also that there are none. */
  used(modelId: string, loaded: LoadedModel): Promise<void> {
    return this.#quietly(modelId, loaded, async () => {
      const { store } = await this.#engine.call('experts.status', { model: loaded.model });
      const superExperts = store?.superExperts ?? null;
      if (superExperts === null || this.#known.has(loaded.model)) return;
      this.#known.add(loaded.model);
      const path = this.#pathOf(modelId);
      const kept = { model: identityOf(loaded), superExperts: superExperts.map(({ layer, expert, peak }) => ({ layer, expert, peak })) };
      await mkdir(this.#folder, { recursive: true });
      await writeFile(`${path}.new`, JSON.stringify(kept));
      await rename(`${path}.new`, path);
    });
  }

  async #quietly(modelId: string, loaded: LoadedModel, work: () => Promise<void>): Promise<void> {
    if ((loaded.options.expertRamBytes ?? 0) === 0 || this.#known.has(loaded.model)) return;
    await work().catch((error: unknown) =>
      this.#logger.warn(`the super experts of ${modelId} are not remembered: ${error instanceof Error ? error.message : String(error)}`),
    );
  }

  #pathOf(modelId: string): string {
    return join(this.#folder, `${createHash('sha256').update(modelId).digest('hex').slice(0, 32)}.super-experts.json`);
  }
}

function identityOf({ inspection: { name, architecture, bytes, moeLayers, expertCount } }: LoadedModel): string {
  return JSON.stringify([name, architecture, bytes, moeLayers, expertCount]);
}
