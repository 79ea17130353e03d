// Where layout files may be written without asking, and for how much there is room.
import { constants } from 'node:fs';
import { access, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { isInside } from '../library/models/scan.ts';

/** Of a model; `modelPath`: of its first file. As native/experts/layout names it. */
export const layoutPathOf = (modelPath: string): string => `${modelPath}.layout`;

/** Bytes of a file; null: there is none. */
export async function bytesOf(file: string): Promise<number | null> {
  return (await stat(file).catch(() => null))?.size ?? null;
}

/** That this user may take on the disk of `file`; null: not known. */
export async function freeBytesOf(file: string): Promise<number | null> {
  const disk = await statfs(path.dirname(file)).catch(() => null);
  return disk === null ? null : disk.bavail * disk.bsize;
}

/** The file is in one of the app's model folders, and its own folder is this user's and can be written to. */
export async function isOwnPlace(file: string, modelFolders: readonly string[]): Promise<boolean> {
  if (!modelFolders.some((folder) => isInside(folder, file))) return false;
  const folder = path.dirname(file);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    const user = process.getuid?.();
    return user === undefined || (await stat(folder)).uid === user;
  } catch {
    return false;
  }
}

/** A model that is gone leaves no layout file, whole or begun. */
export async function removeOrphan(modelPath: string): Promise<void> {
  if ((await bytesOf(modelPath)) === null) await deleteLayout(modelPath);
}

export async function deleteLayout(modelPath: string): Promise<void> {
  for (const ending of ['', '.tmp']) await rm(`${layoutPathOf(modelPath)}${ending}`, { force: true });
}
