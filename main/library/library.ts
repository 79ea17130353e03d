// The model library: what models there are, which are loaded, where new ones come from.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from 'pino';
import { type Handlers, type LoadOptions, type ModelCard, MoebiusError, type Publish, toErrorBody } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { LoadedModel } from '../engine/protocol.ts';
import type { LoadedModels } from '../generation/generation.ts';
import type { SettingsService } from '../settings/settings.ts';
import type { Database } from '../storage/database.ts';
import { abortable, errorCode, LatestQuestions, SerialQueue, Throttle } from './concurrency.ts';
import { Downloads, type DownloadsMethod } from './downloads/downloads.ts';
import type { TransferTuning } from './downloads/transfer.ts';
import { HubClient } from './hub/hub-client.ts';
import { HubHttp } from './hub/hub-http.ts';
import { Catalogue, type ModelRecord } from './models/catalogue.ts';
import { deleteModelFiles } from './models/delete-files.ts';
import { engineReady } from './models/engine-ready.ts';
import { Inspections } from './models/inspections.ts';
import { effectiveLoadOptions } from './models/load-options.ts';
import { LoadedStore } from './models/loaded-store.ts';
import { type LoadRequest, Residency } from './models/residency.ts';
import { isInside, locateModel, scanFolders } from './models/scan.ts';
import { modelStem } from './models/split-names.ts';

export const embeddedModelId = 'tiny-moe';
export const embeddedModelNote =
  'A 27M-parameter MoE for trying things out. It babbles: to get a real one, search for it on the Models page, or add a GGUF file that you have.';

/** load progress reaches the UI at most once in this time */
const progressIntervalMs = 100;

type LibraryMethod =
  | 'models.list'
  | 'models.add'
  | 'models.remove'
  | 'models.scan'
  | 'models.setDefaults'
  | 'models.estimate'
  | 'models.plan'
  | 'models.cancelPlan'
  | 'models.load'
  | 'models.cancelLoad'
  | 'models.unload'
  | 'hub.search'
  | 'hub.files'
  | DownloadsMethod;

export interface ModelLibraryParts {
  engine: Engine;
  database: Database;
  settings: SettingsService;
  publish: Publish;
  /** absolute path of the GGUF that ships with the app */
  embeddedModelPath: string;
  /** retry pauses and file access of downloads; for tests */
  transfer?: Partial<TransferTuning>;
  logger?: Pick<Logger, 'warn'>;
}

/** Call `start` before anything else and `dispose` at the end. */
export class ModelLibrary implements LoadedModels {
  readonly #parts: ModelLibraryParts;
  readonly #catalogue: Catalogue;
  readonly #inspections: Inspections;
  readonly #residency: Residency;
  readonly #loadedStore: LoadedStore;
  readonly #http: HubHttp;
  readonly #hub: HubClient;
  readonly #downloads: Downloads;
  readonly #scans = new SerialQueue();
  readonly #plans = new LatestQuestions();
  readonly #cards: Throttle<string>;
  readonly #unsubscribe: (() => void)[];
  #disposed = false;

  constructor(parts: ModelLibraryParts) {
    const { engine, database, settings, publish } = parts;
    this.#parts = parts;
    this.#catalogue = new Catalogue(database);
    this.#inspections = new Inspections(engine, database);
    this.#loadedStore = new LoadedStore(database);
    this.#cards = new Throttle(progressIntervalMs, (id) => this.#publishCard(id));
    this.#residency = new Residency(engine, {
      changed: (id) => this.#cards.now(id),
      progress: (id) => this.#cards.soon(id),
      wantedChanged: () => this.#loadedStore.save(this.#residency.wanted().map(({ id, request }) => ({ id, options: request.call }))),
    });
    this.#http = new HubHttp(() => settings.current.hubUrl);
    this.#hub = new HubClient(this.#http, () => settings.current.hubUrl);
    this.#downloads = new Downloads({
      database,
      hub: this.#hub,
      http: this.#http,
      hubUrl: () => settings.current.hubUrl,
      downloadFolder: () => settings.current.downloadFolder,
      publish,
      addModel: async (file, note) => {
        const record = await this.#addFile(file, 'download', note);
        this.#inBackground('inspecting a download', this.#examine(record));
        return record.id;
      },
      transfer: parts.transfer ?? {},
    });
    this.#unsubscribe = [
      engine.onStatus(({ state }) => {
        if (state === 'ready') this.#inBackground('inspecting models', this.#examineUnfinished());
      }),
      settings.onChange((now, before) => {
        const foldersChanged = JSON.stringify([now.modelFolders, now.downloadFolder]) !== JSON.stringify([before.modelFolders, before.downloadFolder]);
        if (foldersChanged) this.#inBackground('scanning folders', this.scan());
      }),
    ];
  }

  readonly handlers: Handlers<LibraryMethod> = {
    'models.list': () => this.list(),
    'models.add': ({ path: file }) => this.add(file),
    'models.remove': async ({ id, deleteFiles }) => {
      await this.remove(id, deleteFiles);
      return {};
    },
    'models.scan': () => this.scan(),
    'models.setDefaults': async ({ id, defaults }) => {
      const record = this.#record(id);
      record.defaults = defaults;
      await this.#parts.database.run('UPDATE models SET defaults = ? WHERE id = ?', [JSON.stringify(defaults), id]);
      this.#cards.now(id);
      return this.#card(record);
    },
    'models.estimate': async ({ id, ...proposal }) => this.#parts.engine.call('model.estimate', await this.#proposed(id, proposal)),
    'models.plan': ({ id, ticket, fold, ...proposal }) =>
      this.#plans.ask(ticket, async (signal) =>
        this.#parts.engine.call('plan.make', { ...(await this.#proposed(id, proposal)), ...(fold ? { fold } : {}) }, { signal }),
      ),
    'models.cancelPlan': ({ ticket }) => {
      this.#plans.cancel(ticket);
      return {};
    },
    'models.load': ({ id, options }) => this.load(id, options),
    'models.cancelLoad': async ({ id }) => {
      await this.#residency.cancelLoad(this.#record(id).id);
      return {};
    },
    'models.unload': async ({ id }) => {
      const record = this.#record(id);
      await this.#residency.unload(id);
      return this.#card(record);
    },
    'hub.search': ({ query, limit }) => this.#hub.search(query, limit),
    'hub.files': ({ repository }) => this.#hub.files(repository),
    ...this.#downloadHandlers(),
  };

  /**
   * Reads what is known, then returns; scanning and loading what was loaded last (the embedded model at the first start)
   * go on in the background and show in `models.changed` events.
   */
  async start(): Promise<void> {
    await this.#catalogue.start();
    await this.#downloads.start();
    await this.#placeEmbedded();
    const loaded = await this.#loadedStore.read();
    this.#inBackground('scanning folders', this.scan());
    if (!loaded) this.#inBackground('loading models', this.#loadAll([{ id: embeddedModelId, options: undefined }]));
    else if (this.#parts.settings.current.reloadModels) this.#inBackground('loading models', this.#loadAll(loaded));
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#plans.dispose();
    this.#inspections.dispose();
    this.#residency.dispose();
    await this.#downloads.dispose();
    await this.#http.close();
    await this.#loadedStore.settled();
    this.#cards.dispose();
  }

  list(): ModelCard[] {
    return this.#catalogue
      .all()
      .filter((record) => this.#isShown(record))
      .map((record) => this.#card(record));
  }

  get(id: string): ModelCard {
    return this.#card(this.#record(id));
  }

  /** Adds a GGUF file wherever it is; any part of a split model stands for the whole. */
  async add(file: string): Promise<ModelCard> {
    const absolute = path.resolve(file);
    const status = await stat(absolute).catch(() => null);
    if (!status) throw new MoebiusError('file.not-found', `There is no file ${absolute}.`, { details: { path: absolute } });
    if (!status.isFile()) {
      throw new MoebiusError('request.invalid', `${absolute} is a folder. Add it to the model folders in Settings: every GGUF in it then shows up here.`, {
        details: { path: absolute },
      });
    }
    const record = await this.#addFile(absolute, 'added', null);
    await this.#examine(record);
    return this.#card(record);
  }

  async remove(id: string, deleteFiles: boolean): Promise<void> {
    const record = this.#record(id);
    if (record.source === 'embedded')
      throw new MoebiusError('request.invalid', 'The embedded model is part of the app and cannot be removed. It can be unloaded.');
    if (deleteFiles && record.source === 'added') {
      throw new MoebiusError(
        'request.invalid',
        `${record.path} was added from outside the model folders. Remove it from the list here, and delete the file yourself if you want to.`,
        {
          details: { path: record.path },
        },
      );
    }
    record.hidden = true; // from now on nobody can load it
    try {
      await this.#residency.unload(id);
      if (deleteFiles) await deleteModelFiles(await locateModel(record.path), this.#folders());
    } catch (error) {
      record.hidden = false;
      throw error;
    }
    const scanFindsIt = !deleteFiles && this.#folders().some((folder) => isInside(folder, record.path));
    if (scanFindsIt) await this.#catalogue.save(record);
    else await this.#catalogue.delete(record);
    await this.#inspections.forget(record.path);
    if (deleteFiles) await this.#downloads.forgetModel(id);
    this.#cards.forget(id);
    this.#parts.publish('models.removed', { id });
  }

  /** Looks through the folders of the settings; resolves when every new file has been inspected. */
  scan(): Promise<ModelCard[]> {
    return this.#scans.run(async () => {
      const found = new Map((await scanFolders(this.#folders())).map((model) => [model.path, model]));
      for (const model of found.values()) {
        if (!this.#catalogue.byPath(model.path)) await this.#catalogue.insert(model.path, 'folder');
      }
      await Promise.all(
        this.#catalogue.all().map(async (record) => {
          record.located = found.get(record.path) ?? (await locateModel(record.path));
          if (!record.hidden) await this.#examine(record);
        }),
      );
      return this.list();
    });
  }

  async load(id: string, options?: LoadOptions): Promise<ModelCard> {
    const record = this.#record(id);
    await this.#residency.load(id, this.#loadRequest(record, options), options === undefined);
    return this.#card(record);
  }

  async acquire(modelId: string, signal?: AbortSignal): Promise<{ card: ModelCard; loaded: LoadedModel }> {
    for (;;) {
      const record = this.#record(modelId);
      try {
        const loaded = await abortable(this.#residency.load(modelId, this.#loadRequest(record, undefined), true), signal);
        return { card: this.#card(record), loaded };
      } catch (error) {
        // Another load with other options took over: that one will do as well.
        if (signal?.aborted || errorCode(error) !== 'cancelled' || !this.#residency.isLoading(modelId)) throw error;
      }
    }
  }

  /** Those on their way back after an engine restart are among them: `acquire` waits for them. */
  loadedIds(): string[] {
    return this.#residency.wanted().map(({ id }) => id);
  }

  #downloadHandlers(): Handlers<DownloadsMethod> {
    const downloads = () => this.#downloads; // handlers are made before the constructor's body runs
    return {
      'downloads.list': () => downloads().list(),
      'downloads.start': ({ repository, file }) => downloads().begin(repository, file),
      'downloads.pause': ({ id }) => downloads().pause(id),
      'downloads.resume': ({ id }) => downloads().resume(id),
      'downloads.cancel': async ({ id }) => {
        await downloads().cancel(id);
        return {};
      },
    };
  }

  #folders(): string[] {
    const { modelFolders, downloadFolder } = this.#parts.settings.current;
    return [...new Set([...modelFolders, downloadFolder])];
  }

  #record(id: string): ModelRecord {
    const record = this.#catalogue.get(id);
    if (record && !record.hidden) return record;
    throw new MoebiusError(
      'model.not-found',
      `There is no model "${id}" in the library. Known: ${this.list()
        .map((card) => card.id)
        .join(', ')}.`,
      { details: { id } },
    );
  }

  #isShown(record: ModelRecord): boolean {
    if (record.hidden) return false;
    return (
      record.source !== 'folder' || this.#folders().some((folder) => isInside(folder, record.path)) || this.#residency.state(record.id).state !== 'unloaded'
    );
  }

  #card(record: ModelRecord): ModelCard {
    const inspection = record.examined?.inspection ?? null;
    return {
      id: record.id,
      path: record.path,
      name: inspection?.name || modelStem(path.basename(record.path)),
      bytes: record.located?.files.reduce((sum, file) => sum + file.bytes, 0) ?? 0,
      source: record.source,
      note: record.note ?? inspection?.description ?? null,
      inspection,
      problem: record.examined?.problem ?? null,
      state: this.#residency.state(record.id),
      defaults: record.defaults,
      addedAt: record.addedAt,
    };
  }

  #publishCard(id: string): void {
    const record = this.#catalogue.get(id);
    if (record && this.#isShown(record)) this.#parts.publish('models.changed', this.#card(record));
  }

  async #proposed(
    id: string,
    { options, exact }: { options?: LoadOptions | undefined; exact?: boolean | undefined },
  ): Promise<{ path: string; options: LoadOptions }> {
    const record = this.#record(id);
    await engineReady(this.#parts.engine);
    return { path: record.path, options: effectiveLoadOptions(this.#parts.settings.current, exact ? {} : record.defaults, options) };
  }

  #loadRequest(record: ModelRecord, options: LoadOptions | undefined): LoadRequest {
    return { path: record.path, call: options ?? {}, effective: effectiveLoadOptions(this.#parts.settings.current, record.defaults, options) };
  }

  async #addFile(file: string, source: 'added' | 'download', note: string | null): Promise<ModelRecord> {
    const located = await locateModel(file);
    const record = this.#catalogue.byPath(located.path) ?? (await this.#catalogue.insert(located.path, source));
    if (record.source !== 'embedded' && (source === 'download' || record.hidden)) {
      Object.assign(record, { source, note, hidden: false });
      await this.#catalogue.save(record);
    }
    record.located = located;
    this.#cards.now(record.id);
    return record;
  }

  async #examine(record: ModelRecord): Promise<void> {
    if (!record.located) return;
    const examined = await this.#inspections.examine(record.located);
    record.examined = examined;
    this.#cards.now(record.id);
  }

  /** Asks again about the files that the engine could not look at. */
  async #examineUnfinished(): Promise<void> {
    await Promise.all(this.#catalogue.all().map((record) => (record.examined && !record.examined.final && !record.hidden ? this.#examine(record) : undefined)));
  }

  /** The app may have moved since the last start; its model moved with it. */
  async #placeEmbedded(): Promise<void> {
    const file = path.resolve(this.#parts.embeddedModelPath);
    const known = this.#catalogue.get(embeddedModelId);
    if (known?.source === 'embedded' && known.path === file && known.note === embeddedModelNote) return;
    const twin = this.#catalogue.byPath(file);
    if (twin && twin !== known) await this.#catalogue.delete(twin);
    if (known?.source === 'embedded') {
      Object.assign(known, { path: file, note: embeddedModelNote });
      await this.#catalogue.save(known);
    } else {
      await this.#catalogue.insert(file, 'embedded', { id: embeddedModelId, note: embeddedModelNote });
    }
  }

  /** One after another, the oldest first, so that the order of `loadedIds` comes back too. What fails shows on its card. */
  async #loadAll(models: { id: string; options: LoadOptions | undefined }[]): Promise<void> {
    for (const { id, options } of models.toReversed()) {
      if (this.#catalogue.get(id)) await this.load(id, options).catch((error: unknown) => toErrorBody(error));
    }
  }

  /** Work that nobody waits for; its errors are logged, and nothing after `dispose` is one. */
  #inBackground(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      if (!this.#disposed) this.#parts.logger?.warn({ error }, `${what} failed`);
    });
  }
}
