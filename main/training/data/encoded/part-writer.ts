// The two files of one part of an encoded dataset, written in large pieces.
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { RowPlace } from '../../../contract/datasets.ts';
import type { DownloadDisk } from '../../../library/downloads/partial-file.ts';
import type { PartName } from '../split.ts';
import { type PartCounts, partFiles } from './format.ts';
import { entryOf, type Fitted, recordOf } from './record.ts';

const PIECE_BYTES = 2 ** 20;

/** What is waiting to be written is in one buffer: of short examples there are tens of thousands, each of which would live long enough to make garbage that is collected late. */
class GrowingFile {
  readonly #handle: FileHandle;
  readonly #piece = Buffer.allocUnsafe(PIECE_BYTES);
  #waiting = 0;
  #written = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  get bytes(): number {
    return this.#written + this.#waiting;
  }

  async append(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(this.#piece, this.#waiting, at);
      at += copied;
      this.#waiting += copied;
      if (this.#waiting === PIECE_BYTES) await this.flush();
    }
  }

  async flush(): Promise<void> {
    const end = this.#waiting;
    this.#waiting = 0;
    for (let at = 0; at < end; ) {
      const { bytesWritten } = await this.#handle.write(this.#piece, at, end - at, this.#written);
      at += bytesWritten;
      this.#written += bytesWritten;
    }
  }

  /** All of it is on the disk when it resolves. */
  async finish(): Promise<void> {
    await this.flush();
    await this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

export class PartWriter {
  readonly #examples: GrowingFile;
  readonly #index: GrowingFile;
  readonly #counts = { examples: 0, pairs: 0, tokens: 0, targets: 0, longest: 0 };

  private constructor(examples: FileHandle, index: FileHandle) {
    this.#examples = new GrowingFile(examples);
    this.#index = new GrowingFile(index);
  }

  static async create(folder: string, part: PartName, disk: DownloadDisk): Promise<PartWriter> {
    const { examples, index } = partFiles(part);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const first = await disk.open(join(folder, examples), flags, 0o644);
    try {
      return new PartWriter(first, await disk.open(join(folder, index), flags, 0o644));
    } catch (error) {
      await first.close();
      throw error;
    }
  }

  async add(example: Fitted, place: RowPlace): Promise<void> {
    const record = recordOf(example.sequences);
    const entry = entryOf(example, place, this.#examples.bytes, record);
    const tokens = example.sequences.reduce((sum, sequence) => sum + sequence.tokens.length, 0);
    this.#counts.examples += 1;
    this.#counts.pairs += example.sequences.length === 2 ? 1 : 0;
    this.#counts.tokens += tokens;
    this.#counts.targets += example.sequences.reduce((sum, { targets }) => sum + targets.length, 0);
    this.#counts.longest = Math.max(this.#counts.longest, tokens);
    await this.#examples.append(record);
    await this.#index.append(entry);
  }

  counts(): PartCounts {
    return { ...this.#counts, exampleBytes: this.#examples.bytes, indexBytes: this.#index.bytes };
  }

  async finish(): Promise<void> {
    await this.#examples.finish();
    await this.#index.finish();
  }

  async close(): Promise<void> {
    await Promise.all([this.#examples.close(), this.#index.close()]);
  }
}
