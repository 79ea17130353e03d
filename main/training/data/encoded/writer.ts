// Writes an encoded dataset beside its place, and moves it there as a whole when all of it is on the disk.
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { RowsReport } from '../../../contract/datasets.ts';
import { MoebiusError } from '../../../contract/errors.ts';
import { type DownloadDisk, formatBytes, realDisk } from '../../../library/downloads/partial-file.ts';
import { syncFolder } from '../../../library/downloads/publish.ts';
import { PARTS, type PartName } from '../split.ts';
import type { EncodedRow } from '../survey.ts';
import { ENCODED_VERSION, type EncodedCounts, type EncodedManifest, type EncodingKey, MANIFEST_NAME } from './format.ts';
import { PartWriter } from './part-writer.ts';
import { fitExample } from './record.ts';

export class EncodedWriter {
  readonly #folder: string;
  /** Where it grows: on the same file system, with this process's number, so that what a killed process left is told from what another one writes. */
  readonly #growing: string;
  readonly #key: EncodingKey;
  readonly #disk: DownloadDisk;
  #parts: Record<PartName, PartWriter> | null = null;
  readonly #omitted = { cut: 0, overLong: 0, nothingToLearn: 0 };
  #fraction = 0;

  private constructor(folder: string, key: EncodingKey, disk: DownloadDisk) {
    this.#folder = folder;
    this.#growing = `${folder}.writing-${process.pid}-${randomBytes(4).toString('hex')}`;
    this.#key = key;
    this.#disk = disk;
  }

  /** `folder`: absolute. Throws request.invalid if something else is there, file.unwritable, disk.full. Call `dispose` at the end. */
  static async create(folder: string, key: EncodingKey, disk: DownloadDisk = realDisk): Promise<EncodedWriter> {
    const writer = new EncodedWriter(folder, key, disk);
    await writer.#explaining(() => writer.#open());
    return writer;
  }

  async #open(): Promise<void> {
    await refuseOtherFolder(this.#folder);
    await mkdir(dirname(this.#folder), { recursive: true });
    await removeLeftovers(this.#folder);
    await mkdir(this.#growing);
    const train = await PartWriter.create(this.#growing, 'train', this.#disk);
    try {
      this.#parts = { train, validation: await PartWriter.create(this.#growing, 'validation', this.#disk) };
    } catch (error) {
      await train.close();
      throw error;
    }
  }

  /** Share of the rows that have been read, from which the bytes that are still needed are estimated. */
  progress(fraction: number): void {
    this.#fraction = fraction;
  }

  /** Throws disk.full, file.unwritable. */
  async add({ place, part, sequences }: EncodedRow): Promise<void> {
    const fitted = fitExample(sequences, this.#key);
    if (typeof fitted === 'string') {
      this.#omitted[fitted] += 1;
      return;
    }
    if (fitted.isCut) this.#omitted.cut += 1;
    await this.#explaining(() => this.#openParts()[part].add(fitted, place));
  }

  counts(): EncodedCounts {
    const { train, validation } = this.#openParts();
    const { cut, ...leftOut } = this.#omitted;
    return { parts: { train: train.counts(), validation: validation.counts() }, cut, leftOut };
  }

  /** The folder has it when it resolves, in place of an encoded dataset that was there. Throws disk.full, file.unwritable. */
  async publish(survey: RowsReport): Promise<EncodedManifest> {
    const parts = this.#openParts();
    const manifest: EncodedManifest = { version: ENCODED_VERSION, key: this.#key, ...this.counts(), survey };
    await this.#explaining(async () => {
      for (const part of PARTS) await parts[part].finish();
      await writeSynced(join(this.#growing, MANIFEST_NAME), `${JSON.stringify(manifest, null, 2)}\n`);
      await syncFolder(this.#growing);
      await this.#close();
      await this.#replace();
    });
    return manifest;
  }

  /** Removes what was not published. */
  async dispose(): Promise<void> {
    await this.#close();
    await rm(this.#growing, { recursive: true, force: true });
  }

  #openParts(): Record<PartName, PartWriter> {
    if (this.#parts === null) throw new Error('the writer is closed');
    return this.#parts;
  }

  async #close(): Promise<void> {
    const parts = this.#parts;
    this.#parts = null;
    if (parts !== null) await Promise.all(PARTS.map((part) => parts[part].close()));
  }

  /** No system call replaces a folder that has files; between the two renames there is none, never half of one. */
  async #replace(): Promise<void> {
    const old = `${this.#growing}-old`;
    const replaces = (await stat(this.#folder).catch(() => null)) !== null;
    if (replaces) await rename(this.#folder, old);
    await rename(this.#growing, this.#folder);
    await syncFolder(dirname(this.#folder));
    if (replaces) await rm(old, { recursive: true });
  }

  async #explaining<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw await this.#explained(error);
    }
  }

  async #explained(error: unknown): Promise<unknown> {
    if (error instanceof MoebiusError || !(error instanceof Error) || !('code' in error)) return error;
    const folder = dirname(this.#folder);
    if (error.code !== 'ENOSPC' && error.code !== 'EDQUOT') {
      return new MoebiusError('file.unwritable', `${this.#folder} cannot be written: ${error.message}.`, { details: { path: this.#folder }, cause: error });
    }
    const [neededBytes, freeBytes] = [this.#neededBytes(), await this.#disk.freeBytes(folder).catch(() => 0)];
    const message = `The disk of ${folder} is full: about ${formatBytes(neededBytes)} are needed for the encoded dataset, and ${formatBytes(freeBytes)} are free. Make room, or encode to a folder on another disk.`;
    return new MoebiusError('disk.full', message, { details: { folder, neededBytes, freeBytes }, cause: error });
  }

  /** For all of it, as far as what has been read tells. */
  #neededBytes(): number {
    const bytes = PARTS.map((part) => this.#parts?.[part].counts()).reduce((sum, part) => sum + (part ? part.exampleBytes + part.indexBytes : 0), 0);
    return Math.ceil(bytes / Math.min(1, Math.max(this.#fraction, 0.001)));
  }
}

async function refuseOtherFolder(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (names.length === 0 || names.includes(MANIFEST_NAME)) return;
  const message = `${folder} has other files (${names.slice(0, 3).join(', ')}) and no encoded dataset: name a folder that is empty, new, or of an encoded dataset.`;
  throw new MoebiusError('request.invalid', message, { details: { folder } });
}

/** Of processes that are no more. */
async function removeLeftovers(folder: string): Promise<void> {
  const [parent, prefix] = [dirname(folder), `${basename(folder)}.writing-`];
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix)) continue;
    const owner = Number.parseInt(name.slice(prefix.length), 10);
    if (!isAlive(owner)) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
