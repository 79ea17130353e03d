// The file that a download grows in.
import { constants, type PathLike } from 'node:fs';
import { type FileHandle, mkdir, open, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { MoebiusError } from '../../contract/index.ts';

/** What downloads need of the file system; tests put a full disk here. */
export interface DownloadDisk {
  open(file: PathLike, flags: number, mode: number): Promise<FileHandle>;
  /** bytes that may still be written to the file system of an existing folder */
  freeBytes(folder: string): Promise<number>;
}

export const realDisk: DownloadDisk = {
  open,
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
};

const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];

export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`;
}

export function diskFull(folder: string, neededBytes: number, freeBytes: number, cause?: unknown): MoebiusError {
  return new MoebiusError(
    'disk.full',
    `${formatBytes(neededBytes)} are still needed in ${folder}, and ${formatBytes(freeBytes)} are free. Make room or choose another download folder in Settings, then resume.`,
    { details: { folder, neededBytes, freeBytes }, cause },
  );
}

/** 0 if there is none. */
export async function fileBytes(file: string): Promise<number> {
  const status = await stat(file).catch(() => null);
  return status?.isFile() ? status.size : 0;
}

export class PartialFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #disk: DownloadDisk;
  readonly #totalBytes: number;
  #bytes: number;

  private constructor(file: string, handle: FileHandle, disk: DownloadDisk, bytes: number, totalBytes: number) {
    this.#path = file;
    this.#handle = handle;
    this.#disk = disk;
    this.#bytes = bytes;
    this.#totalBytes = totalBytes;
  }

  /** Opens or creates it, with its folders. One that is longer than it may be starts again from nothing. */
  static async open(file: string, totalBytes: number, disk: DownloadDisk): Promise<PartialFile> {
    await mkdir(path.dirname(file), { recursive: true });
    // O_NOFOLLOW: a link in the download folder must not lead the bytes elsewhere (0 on Windows, which has none).
    const handle = await disk.open(file, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o644);
    const partial = new PartialFile(file, handle, disk, (await handle.stat()).size, totalBytes);
    if (partial.bytes > totalBytes) await partial.clear();
    return partial;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Rejects with disk.full when it is. What was written before stays. */
  async append(chunk: Uint8Array): Promise<void> {
    let offset = 0;
    while (offset < chunk.length) {
      try {
        const { bytesWritten } = await this.#handle.write(chunk, offset, chunk.length - offset, this.#bytes);
        offset += bytesWritten;
        this.#bytes += bytesWritten;
      } catch (error) {
        throw await this.#explained(error);
      }
    }
  }

  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.#bytes = 0;
  }

  /** Everything written is on the disk when it resolves. */
  async sync(): Promise<void> {
    await this.#handle.sync().catch(async (error) => {
      throw await this.#explained(error);
    });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #explained(error: unknown): Promise<unknown> {
    const code = error instanceof Error && 'code' in error ? error.code : null;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
    const folder = path.dirname(this.#path);
    return diskFull(folder, this.#totalBytes - this.#bytes, await this.#disk.freeBytes(folder), error);
  }
}
