// Deleting a model's files from a model folder.
import { rm, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { MoebiusError } from '../../contract/index.ts';
import { LowPrecisionType } from '../../engine/protocol.ts';
import { isInside, type ModelFiles } from './scan.ts';

/** Files that the engine writes beside a model: native/experts/layout, native/experts/lossy. */
const companions = ['.layout', '.sensitivity', ...LowPrecisionType.options.map((type) => `.${type}`)];

/** Deletes the files of `model` and the folders that this leaves empty, and nothing outside `folders`. */
export async function deleteModelFiles(model: ModelFiles, folders: string[]): Promise<void> {
  const home = folders.find((folder) => isInside(folder, model.path));
  if (!home) {
    throw new MoebiusError('request.invalid', `${model.path} is not in a model folder, so its file is left alone. Remove it from the list without deleting.`, {
      details: { path: model.path },
    });
  }
  for (const file of model.files) await unlink(file.path);
  for (const ending of companions) for (const part of ['', '.tmp']) await rm(`${model.path}${ending}${part}`, { force: true });
  await removeEmptyFolders(path.dirname(model.path), home);
}

/** Removes `folder` and its parents below `home` for as long as they are empty. */
export async function removeEmptyFolders(folder: string, home: string): Promise<void> {
  for (let current = folder; isInside(home, current); current = path.dirname(current)) {
    try {
      await rmdir(current);
    } catch {
      return; // not empty
    }
  }
}
