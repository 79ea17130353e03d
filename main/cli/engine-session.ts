// One engine, or one engine with one model, for the length of a command. No database, no library: commands work on files.
import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { type AdapterUse, type AppliedAdapter, type Inspection, type LoadedModel, type LoadOptions, type ModelCard, MoebiusError } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import { engineEnvironment, locateEngine } from '../engine/locate.ts';
import { type Logger, silentLogger } from '../engine/log.ts';
import { engineOfItsOwn, type WithEngine } from '../engine/own-engine.ts';
import type { AdapterUses, Generations, LoadedModels } from '../generation/generation.ts';
import { GenerationService } from '../generation/generation-service.ts';
import { withTokeniser } from '../training/data/tokeniser.ts';
import type { AdapterFlag } from './options.ts';
import { note } from './output.ts';
import { embeddedModel } from './paths.ts';

/** MOEBIUS_LOG=1 shows the engine's log on stderr. */
const logger: Logger = process.env.MOEBIUS_LOG ? { debug: note, info: note, warn: note, error: note } : silentLogger;

/** Starts the engine, runs `work`, and ends the engine whatever happens. */
export const withEngine: WithEngine = async (work, environment) => {
  const location = locateEngine();
  const { executable: command, llamaVersion } = location;
  return engineOfItsOwn({ command, environment: engineEnvironment(location), llamaVersion, logger })(work, environment);
};

export interface ModelSession {
  engine: Engine;
  generations: Generations;
  loaded: LoadedModel;
  modelId: string;
  vocabularySize: number;
}

/** `path` undefined: the embedded model. */
export async function withModel<T>(
  path: string | undefined,
  options: LoadOptions,
  work: (session: ModelSession) => Promise<T>,
  /** that are on in every generation */
  adapters: AdapterFlag[] = [],
): Promise<T> {
  const file = modelFile(path);
  return withEngine(async (engine) => {
    const loaded = await engine.call('model.load', { path: file, options });
    const models = new OneModel(loaded);
    const generations = new GenerationService({ engine, models, adapters: new AlwaysOn(await loadAdapters(engine, loaded, adapters)) });
    return work({ engine, generations, loaded, modelId: models.card.id, vocabularySize: loaded.inspection.vocabularySize });
  });
}

/** The same without weights: to tokenise and to render chats. */
export async function withVocabulary<T>(path: string | undefined, work: (engine: Engine, loaded: LoadedModel) => Promise<T>): Promise<T> {
  const file = modelFile(path);
  return withEngine((engine) => withTokeniser(engine, file, (loaded) => work(engine, loaded)));
}

function modelFile(path: string | undefined): string {
  const file = path === undefined ? embeddedModel() : resolve(path);
  if (existsSync(file)) return file;
  throw new MoebiusError('file.not-found', `There is no file ${file}.`, { details: { path: file } });
}

/** The library of a command: the one model that it loaded. */
class OneModel implements LoadedModels {
  readonly card: ModelCard;
  readonly #loaded: LoadedModel;

  constructor(loaded: LoadedModel) {
    this.#loaded = loaded;
    this.card = toCard(loaded.inspection, loaded);
  }

  async acquire(): Promise<{ card: ModelCard; loaded: LoadedModel }> {
    return { card: this.card, loaded: this.#loaded };
  }

  loadedIds(): string[] {
    return [this.card.id];
  }
}

type OpenedAdapter = AdapterUse & AppliedAdapter;

async function loadAdapters(engine: Engine, { model }: LoadedModel, adapters: AdapterFlag[]): Promise<OpenedAdapter[]> {
  const opened: OpenedAdapter[] = [];
  for (const { path, scale } of adapters) {
    const { adapter } = await engine.call('adapter.load', { model, path: resolve(path) });
    const name = basename(path, '.gguf');
    opened.push({ adapter, id: name, name, scale });
  }
  return opened;
}

/** The adapters of a command: all of them, whatever is asked for. */
class AlwaysOn implements AdapterUses {
  readonly #adapters: OpenedAdapter[];

  constructor(adapters: OpenedAdapter[]) {
    this.#adapters = adapters;
  }

  chosen(): AppliedAdapter[] {
    return this.#adapters.map(({ id, name, scale }) => ({ id, name, scale }));
  }

  async use(): ReturnType<AdapterUses['use']> {
    return { uses: this.#adapters.map(({ adapter, scale }) => ({ adapter, scale })), applied: this.chosen() };
  }
}

function toCard(inspection: Inspection, { inspection: _, ...loaded }: LoadedModel): ModelCard {
  const { path, name, bytes } = inspection;
  const id = basename(path, '.gguf');
  return {
    id,
    path,
    name,
    bytes,
    source: 'added',
    note: null,
    inspection,
    problem: null,
    state: { state: 'loaded', loaded },
    defaults: {},
    addedAt: Date.now(),
  };
}
