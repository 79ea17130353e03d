// The download manager: what runs, what waits, what the user stopped.
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { type Download, MoebiusError, type Publish, toErrorBody } from '../../contract/index.ts';
import type { Database } from '../../storage/database.ts';
import { cancelledError, SerialQueue, Throttle } from '../concurrency.ts';
import { type HubClient, repositoryName } from '../hub/hub-client.ts';
import type { HubHttp } from '../hub/hub-http.ts';
import { removeEmptyFolders } from '../models/delete-files.ts';
import { partNames } from '../models/split-names.ts';
import { bytesOnDisk, deletePartials, runJob } from './job.ts';
import { realDisk } from './partial-file.ts';
import { type DownloadRecord, totalBytes } from './parts.ts';
import { downloadPath } from './paths.ts';
import { RateMeter } from './rate.ts';
import { DownloadStore } from './store.ts';
import type { TransferTuning } from './transfer.ts';

export type DownloadsMethod = 'downloads.list' | 'downloads.start' | 'downloads.pause' | 'downloads.resume' | 'downloads.cancel';

const maximumRunning = 2;
const progressIntervalMs = 250;

export interface DownloadsParts {
  database: Database;
  hub: HubClient;
  http: HubHttp;
  hubUrl: () => string;
  downloadFolder: () => string;
  publish: Publish;
  /** adds a published file to the library and returns the model's id */
  addModel(file: string, note: string | null): Promise<string>;
  transfer: Partial<TransferTuning>;
}

interface Entry {
  record: DownloadRecord;
  bytesDone: number;
  readonly rate: RateMeter;
  run: { controller: AbortController; ended: Promise<void> } | null;
}

export class Downloads {
  readonly #parts: DownloadsParts;
  readonly #store: DownloadStore;
  readonly #tuning: TransferTuning;
  readonly #entries = new Map<string, Entry>();
  readonly #starts = new SerialQueue();
  readonly #events: Throttle<Entry>;
  #disposed = false;

  constructor(parts: DownloadsParts) {
    this.#parts = parts;
    this.#store = new DownloadStore(parts.database);
    this.#tuning = { retryDelayMs: 500, maximumDelayMs: 8000, disk: realDisk, ...parts.transfer };
    this.#events = new Throttle(progressIntervalMs, (entry) => this.#parts.publish('downloads.changed', this.#describe(entry)));
  }

  /** What was going on when the app ended is paused now. */
  async start(): Promise<void> {
    for (const record of await this.#store.all()) {
      if (record.state === 'queued' || record.state === 'running' || record.state === 'verifying') {
        record.state = 'paused';
        await this.#store.save(record);
      }
      this.#entries.set(record.id, { record, bytesDone: await bytesOnDisk(record), rate: new RateMeter(), run: null });
    }
  }

  /** Running ones are paused; their partial files stay. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    const runs = [...this.#entries.values()].map(({ run }) => run);
    for (const run of runs) run?.controller.abort(cancelledError('Moebius is closing.'));
    await Promise.all(runs.map((run) => run?.ended));
    this.#events.dispose();
  }

  list(): Download[] {
    return [...this.#entries.values()].map((entry) => this.#describe(entry));
  }

  /** Asking again for a file that is on its way gives that download, resumed if it was stopped. */
  begin(repositoryText: string, file: string): Promise<Download> {
    return this.#starts.run(async () => {
      const repository = repositoryName(repositoryText);
      const first = partNames(file)[0] ?? file;
      const known = [...this.#entries.values()].find(({ record }) => record.repository === repository && record.file === first);
      if (known && known.record.state !== 'done') return this.resume(known.record.id);
      const found = await this.#parts.hub.parts(repository, first);
      const folder = path.resolve(this.#parts.downloadFolder());
      for (const part of found) downloadPath(folder, repository, part.path);
      if (known) await this.#forget(known);
      const record: DownloadRecord = {
        id: randomUUID(),
        repository,
        file: first,
        folder,
        state: 'queued',
        parts: found.map((part) => ({ ...part, etag: null, verified: false })),
        error: null,
        modelId: null,
        createdAt: Date.now(),
      };
      const entry: Entry = { record, bytesDone: await bytesOnDisk(record), rate: new RateMeter(), run: null };
      await this.#store.save(record);
      this.#entries.set(record.id, entry);
      this.#events.now(entry);
      this.#startNext();
      return this.#describe(entry);
    });
  }

  /** A download that has ended stays as it is. */
  async pause(id: string): Promise<Download> {
    const entry = this.#entry(id);
    if (entry.run) {
      entry.run.controller.abort(cancelledError('Paused.'));
      await entry.run.ended;
    } else if (entry.record.state === 'queued') {
      await this.#change(entry, { state: 'paused' });
    }
    return this.#describe(entry);
  }

  async resume(id: string): Promise<Download> {
    const entry = this.#entry(id);
    if (entry.record.state === 'paused' || entry.record.state === 'failed') {
      await this.#change(entry, { state: 'queued', error: null });
      this.#startNext();
    }
    return this.#describe(entry);
  }

  /** Stops it, deletes what was received, and takes it off the list. Files of a finished download stay. */
  async cancel(id: string): Promise<void> {
    const entry = this.#entry(id);
    if (entry.record.state === 'queued') entry.record.state = 'paused'; // not to be started meanwhile
    entry.run?.controller.abort(cancelledError('Cancelled.'));
    await entry.run?.ended;
    const { record } = entry;
    await deletePartials(record);
    await removeEmptyFolders(path.dirname(downloadPath(record.folder, record.repository, record.file)), record.folder);
    await this.#forget(entry);
  }

  /** Takes the finished download of a model off the list. */
  async forgetModel(modelId: string): Promise<void> {
    for (const entry of this.#entries.values()) if (entry.record.modelId === modelId) await this.#forget(entry);
  }

  #entry(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry) return entry;
    throw new MoebiusError('download.not-found', `There is no download ${id}. It may have been cancelled.`, { details: { id } });
  }

  #describe({ record, bytesDone, rate }: Entry): Download {
    const { id, repository, file, state, error, modelId, createdAt } = record;
    const bytesPerSecond = state === 'running' || state === 'verifying' ? Math.round(rate.bytesPerSecond) : 0;
    return { id, repository, file, state, bytesDone, bytesTotal: totalBytes(record), bytesPerSecond, error, modelId, createdAt };
  }

  async #change(entry: Entry, change: Partial<Pick<DownloadRecord, 'state' | 'error' | 'modelId'>>): Promise<void> {
    Object.assign(entry.record, change);
    await this.#store.save(entry.record);
    this.#events.now(entry);
  }

  async #forget(entry: Entry): Promise<void> {
    this.#entries.delete(entry.record.id);
    this.#events.forget(entry);
    await this.#store.delete(entry.record.id);
    this.#parts.publish('downloads.removed', { id: entry.record.id });
  }

  #startNext(): void {
    if (this.#disposed) return;
    const entries = [...this.#entries.values()];
    let running = entries.filter(({ run }) => run).length;
    for (const entry of entries) {
      if (running >= maximumRunning) return;
      if (entry.record.state !== 'queued' || entry.run) continue;
      const controller = new AbortController();
      entry.run = { controller, ended: this.#run(entry, controller.signal) };
      running += 1;
    }
  }

  /** Never rejects: how it ended is in the record. */
  async #run(entry: Entry, signal: AbortSignal): Promise<void> {
    const { record } = entry;
    entry.rate.reset();
    let end: Partial<DownloadRecord>;
    try {
      const file = await runJob({
        record,
        hub: this.#parts.hub,
        http: this.#parts.http,
        hubUrl: this.#parts.hubUrl(),
        tuning: this.#tuning,
        signal,
        save: () => this.#store.save(record),
        onBytes: (bytes) => this.#progress(entry, bytes),
        onState: (state) => this.#change(entry, { state }),
      });
      end = { state: 'done', modelId: await this.#parts.addModel(file, checkNote(record)) };
      entry.bytesDone = totalBytes(record);
    } catch (error) {
      end = signal.aborted ? { state: 'paused' } : { state: 'failed', error: toErrorBody(error) };
      entry.bytesDone = await bytesOnDisk(record);
    }
    entry.run = null;
    await this.#change(entry, end).catch((error: unknown) => {
      Object.assign(record, { state: 'failed', error: toErrorBody(error) } satisfies Partial<DownloadRecord>);
      this.#events.now(entry);
    });
    this.#startNext();
  }

  #progress(entry: Entry, bytes: number): void {
    entry.bytesDone = bytes;
    entry.rate.sample(bytes);
    this.#events.soon(entry);
  }
}

/** A file that could not be checked says so on its card. */
function checkNote(record: DownloadRecord): string | null {
  const unchecked = record.parts.filter((part) => part.sha256 === null).length;
  if (unchecked === 0) return null;
  return `Downloaded from ${record.repository}. The hub gave no checksum, so only the size of ${unchecked === 1 ? 'the file' : `${unchecked} files`} was checked.`;
}
