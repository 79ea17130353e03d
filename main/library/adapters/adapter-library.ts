// The adapters that the library's models can be used with, and what of them a request has on.
import path from 'node:path';
import {
  type AdapterChoice,
  type AppliedAdapter,
  type ErrorBody,
  type Handlers,
  type LoadedAdapter,
  type LoadedModel,
  type ModelAdapter,
  MoebiusError,
  type Publish,
  toErrorBody,
} from '../../contract/index.ts';
import type { Engine } from '../../engine/engine.ts';
import type { AdapterUses, LoadedModels } from '../../generation/generation.ts';
import type { Database } from '../../storage/database.ts';
import { SerialQueue } from '../concurrency.ts';
import { uniqueSlug } from '../models/slug.ts';
import { type AdapterRecord, AdapterStore } from './adapter-store.ts';
import { EngineAdapters } from './engine-adapters.ts';

type AdapterMethod = 'adapters.list' | 'adapters.add' | 'adapters.update' | 'adapters.remove';

export interface AdapterLibraryParts {
  engine: Engine;
  database: Database;
  models: LoadedModels;
  publish: Publish;
}

/** Call `start` before anything else. */
export class AdapterLibrary implements AdapterUses {
  readonly #models: LoadedModels;
  readonly #publish: Publish;
  readonly #store: AdapterStore;
  readonly #inEngine: EngineAdapters;
  readonly #problems = new Map<string, ErrorBody>();
  /** one change at a time */
  readonly #changes = new SerialQueue();
  #records: AdapterRecord[] = [];
  /** numbers given to adapters of each model: none is given twice */
  readonly #numbers = new Map<string, number>();

  constructor({ engine, database, models, publish }: AdapterLibraryParts) {
    this.#models = models;
    this.#publish = publish;
    this.#store = new AdapterStore(database);
    this.#inEngine = new EngineAdapters(engine);
  }

  readonly handlers: Handlers<AdapterMethod> = {
    'adapters.list': ({ modelId }) => this.list(modelId),
    'adapters.add': ({ modelId, path: file, name, scale }) => this.#changes.run(() => this.#add(modelId, path.resolve(file), name, scale)),
    'adapters.update': ({ id, name, scale }) =>
      this.#changes.run(() => this.#change(this.#record(id), { ...(name !== undefined && { name }), ...(scale !== undefined && { scale }) })),
    'adapters.remove': ({ id }) =>
      this.#changes.run(async () => {
        await this.#remove(this.#record(id));
        return {};
      }),
  };

  async start(): Promise<void> {
    this.#records = await this.#store.read();
    for (const { modelId, number } of this.#records) this.#numbers.set(modelId, Math.max(this.#numbers.get(modelId) ?? 0, number + 1));
  }

  list(modelId?: string): ModelAdapter[] {
    return this.#records.filter((record) => modelId === undefined || record.modelId === modelId).map((record) => this.#shown(record));
  }

  /** The model's adapters get these scales, those that are not named 0. Rejects with adapter.not-found. */
  setScales(modelId: string, choices: AdapterChoice[]): Promise<void> {
    return this.#changes.run(async () => {
      const scales = new Map(choices.map(({ id, scale }) => [this.#recordOf(modelId, id).id, scale]));
      this.#records = this.#records.map((record) => (record.modelId === modelId ? { ...record, scale: scales.get(record.id) ?? 0 } : record));
      await this.#store.save(this.#records);
      this.#changed(modelId);
    });
  }

  chosen(modelId: string, choices: AdapterChoice[] | undefined): AppliedAdapter[] {
    if (choices === undefined)
      return this.list(modelId)
        .filter(({ scale }) => scale !== 0)
        .map(applied);
    const own = choices.map(({ id, scale }) => ({ ...this.#record(id), scale })).filter((record) => record.modelId === modelId);
    return own.filter(({ scale }) => scale !== 0).map(applied);
  }

  async use(modelId: string, loaded: LoadedModel, choices: AdapterChoice[] | undefined) {
    for (const { id } of choices ?? []) this.#recordOf(modelId, id);
    const chosen = this.chosen(modelId, choices);
    const uses = chosen.map(async ({ id, scale }) => ({ adapter: (await this.#load(this.#record(id), loaded)).adapter, scale }));
    return { uses: await Promise.all(uses), applied: chosen };
  }

  /** Its adapters go with a model that leaves the library. */
  modelRemoved(modelId: string): Promise<void> {
    return this.#changes.run(async () => {
      for (const record of this.#records.filter((candidate) => candidate.modelId === modelId)) await this.#remove(record);
    });
  }

  async #add(modelId: string, file: string, name: string | undefined, scale: number): Promise<ModelAdapter> {
    const { loaded } = await this.#models.acquire(modelId);
    const known = this.#records.find((record) => record.modelId === modelId && record.path === file);
    const stem = path.basename(file, path.extname(file));
    const number = this.#numbers.get(modelId) ?? 0;
    const id = known?.id ?? uniqueSlug(stem, (slug) => this.#records.some((record) => record.id === slug));
    if (known) await this.#inEngine.drop(id);
    const content = contentOf(await this.#inEngine.load(id, file, loaded));
    this.#problems.delete(id);
    if (known) return this.#change(known, { content, scale, ...(name !== undefined && { name }) });
    this.#numbers.set(modelId, number + 1);
    return this.#change({ id, number, modelId, path: file, name: name ?? stem, scale, content }, {});
  }

  async #change(record: AdapterRecord, change: Partial<AdapterRecord>): Promise<ModelAdapter> {
    const changed = { ...record, ...change };
    const records = [...this.#records.filter(({ id }) => id !== record.id), changed].sort((left, right) => left.number - right.number);
    await this.#store.save(records);
    this.#records = records;
    this.#changed(record.modelId);
    return this.#shown(changed);
  }

  async #remove(record: AdapterRecord): Promise<void> {
    const left = this.#records.filter(({ id }) => id !== record.id);
    await this.#store.save(left);
    this.#records = left;
    this.#problems.delete(record.id);
    await this.#inEngine.drop(record.id);
    this.#changed(record.modelId);
  }

  async #load(record: AdapterRecord, loaded: LoadedModel): Promise<LoadedAdapter> {
    try {
      const adapter = await this.#inEngine.load(record.id, record.path, loaded);
      if (this.#problems.delete(record.id)) this.#changed(record.modelId);
      return adapter;
    } catch (error) {
      this.#problems.set(record.id, toErrorBody(error));
      this.#changed(record.modelId);
      throw error;
    }
  }

  #changed(modelId: string): void {
    this.#publish('adapters.changed', { modelId, adapters: this.list(modelId) });
  }

  #shown(record: AdapterRecord): ModelAdapter {
    return { ...record, problem: this.#problems.get(record.id) ?? null };
  }

  #record(id: string): AdapterRecord {
    const record = this.#records.find((candidate) => candidate.id === id);
    if (record) return record;
    throw new MoebiusError('adapter.not-found', `There is no adapter "${id}". Known: ${namesOf(this.#records)}.`, { details: { id } });
  }

  #recordOf(modelId: string, id: string): AdapterRecord {
    const record = this.#record(id);
    if (record.modelId === modelId) return record;
    throw new MoebiusError(
      'adapter.not-found',
      `The adapter "${id}" is one of the model ${record.modelId}, not of ${modelId}, which has ${namesOf(this.list(modelId))}.`,
      { details: { id, modelId } },
    );
  }
}

const namesOf = (records: { id: string }[]) => records.map(({ id }) => id).join(', ') || 'none';

const applied = ({ id, name, scale }: AdapterRecord): AppliedAdapter => ({ id, name, scale });

function contentOf({ adapter: _, path: __, ...content }: LoadedAdapter): AdapterRecord['content'] {
  return content;
}
