// From a complete partial file to a file that can be trusted.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { MoebiusError } from '../../contract/index.ts';
import { abortReason } from '../concurrency.ts';
import { fileBytes, formatBytes } from './partial-file.ts';
import type { DownloadPart } from './parts.ts';
import { partialPath } from './paths.ts';

/** Hex sha256 of a file, read a MiB at a time. `onBytes` gets the bytes read so far. */
export async function sha256OfFile(file: string, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<string> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    if (signal.aborted) throw abortReason(signal);
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
  }
  return hash.digest('hex');
}

/** Resolves if the partial file is what the hub announced; otherwise it is deleted and download.corrupt names both hashes. */
export async function verifyPart(part: DownloadPart, partial: string, signal: AbortSignal, onBytes: (bytes: number) => void): Promise<void> {
  const bytes = await fileBytes(partial);
  if (bytes !== part.bytes) {
    await rm(partial, { force: true });
    throw new MoebiusError(
      'download.corrupt',
      `${part.path} has ${bytes} bytes instead of the ${part.bytes} that the hub announced. The partial file was deleted; start the download again.`,
      {
        details: { file: part.path, expectedBytes: part.bytes, actualBytes: bytes },
      },
    );
  }
  if (part.sha256 === null) return; // the hub gave none: the size is all there is
  const actual = await sha256OfFile(partial, signal, onBytes);
  if (actual === part.sha256) return;
  await rm(partial, { force: true });
  throw new MoebiusError(
    'download.corrupt',
    `${part.path} (${formatBytes(bytes)}) arrived damaged: its sha256 is ${actual}, the hub states ${part.sha256}. The partial file was deleted; resume to download it again. If it happens again, another server between here and the hub changes the file.`,
    { details: { file: part.path, expected: part.sha256, actual } },
  );
}

/** Gives every verified part its final name, replacing an older file of that name. Durable when it resolves. */
export async function publishParts(files: string[]): Promise<void> {
  for (const file of files) {
    await rename(partialPath(file), file).catch(async (error: NodeJS.ErrnoException) => {
      // Published before an interruption: then only the final name is there.
      if (error.code !== 'ENOENT' || (await fileBytes(file)) === 0) throw error;
    });
  }
  for (const folder of new Set(files.map((file) => path.dirname(file)))) await syncFolder(folder);
}

/** Windows has no such call on folders and does not need it. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
