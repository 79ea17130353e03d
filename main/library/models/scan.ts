// Finding model files: `*.gguf` in folders, the parts of a split model taken as one.
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { partNames } from './split-names.ts';

/** Folders deeper than this below a scanned folder are not looked at. */
export const maximumScanDepth = 8;

export interface ModelFile {
  path: string;
  bytes: number;
  /** milliseconds since 1970 */
  modifiedMs: number;
}

/** A model on disk: the parts that are there and the paths of those that are not. */
export interface ModelFiles {
  /** absolute; the first part of a split model, there or not */
  path: string;
  files: ModelFile[];
  missing: string[];
}

/** What is there of the model that `file` is (a part of). */
export async function locateModel(file: string): Promise<ModelFiles> {
  const parts = partNames(file);
  const found = await Promise.all(parts.map(statFile));
  return {
    path: parts[0] ?? file,
    files: found.filter((entry) => entry !== null),
    missing: parts.filter((_, index) => found[index] === null),
  };
}

async function statFile(file: string): Promise<ModelFile | null> {
  try {
    const status = await stat(file);
    return status.isFile() ? { path: file, bytes: status.size, modifiedMs: status.mtimeMs } : null;
  } catch {
    return null;
  }
}

/**
 * Every model in `folders` and below, by path. Symbolic links are followed, but no folder is looked at twice, so cycles end.
 * Folders whose name begins with a dot, `node_modules`, and folders that cannot be read are passed over.
 */
export async function scanFolders(folders: string[]): Promise<ModelFiles[]> {
  const visited = new Set<string>();
  const found = new Set<string>();
  for (const folder of folders) await walk(path.resolve(folder), 0, visited, found);
  const models = new Map<string, ModelFiles>();
  for (const file of [...found].sort()) {
    const first = partNames(file)[0] ?? file;
    if (!models.has(first)) models.set(first, await locateModel(file));
  }
  return [...models.values()];
}

async function walk(folder: string, depth: number, visited: Set<string>, found: Set<string>): Promise<void> {
  let entries: Awaited<ReturnType<typeof readEntries>>;
  try {
    const real = await realpath(folder);
    if (visited.has(real)) return;
    visited.add(real);
    entries = await readEntries(folder);
  } catch {
    return; // not there (yet), or not ours to read
  }
  for (const entry of entries) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
    const child = path.join(folder, entry.name);
    const kind = entry.isSymbolicLink() ? await linkTarget(child) : entry;
    if (kind?.isFile() && entry.name.toLowerCase().endsWith('.gguf')) found.add(child);
    else if (kind?.isDirectory() && depth < maximumScanDepth) await walk(child, depth + 1, visited, found);
  }
}

function readEntries(folder: string) {
  return readdir(folder, { withFileTypes: true });
}

async function linkTarget(link: string) {
  return stat(link).catch(() => null);
}

export function isInside(folder: string, file: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && !path.isAbsolute(relative) && relative.split(path.sep)[0] !== '..';
}
