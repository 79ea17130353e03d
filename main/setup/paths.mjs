// Where things are. Plain JavaScript that runs on Node 20 with nothing installed, as everything in this folder.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '');
export const nodeModules = join(root, 'node_modules');
/** what setup remembers and what benchmarks build; goes away with node_modules */
export const cacheFolder = join(nodeModules, '.cache', 'moebius');
/** reports of the test runners */
export const resultsFolder = join(root, 'test', 'results');
export const nativeBuild = join(root, 'native', 'build');
export const nativeSanitizeBuild = join(root, 'native', 'build-sanitize');
export const nativeThreadsBuild = join(root, 'native', 'build-threads');

const isWindows = process.platform === 'win32';

/** The Node that the package `node` brings; it runs TypeScript without a build. */
export const packagedNode = join(nodeModules, 'node', 'bin', isWindows ? 'node.exe' : 'node');

/** Oldest Node that runs the sources of main/. */
export const OLDEST_NODE = 24;

/** The Node to run the app and the tools with; null if neither the packaged one nor this one will do. */
export function findNode() {
  if (existsSync(packagedNode)) return packagedNode;
  return Number(process.versions.node.split('.')[0]) >= OLDEST_NODE ? process.execPath : null;
}

/**
 * Environment for tools: their `node` is the packaged one.
 * @param {NodeJS.ProcessEnv} [extra]
 * @returns {NodeJS.ProcessEnv}
 */
export function toolEnvironment(extra = {}) {
  const path = [join(nodeModules, 'node', 'bin'), join(nodeModules, '.bin'), process.env.PATH ?? process.env.Path ?? ''].join(delimiter);
  return { ...process.env, PATH: path, ...extra };
}

/**
 * A program that a package puts into node_modules/.bin.
 * @param {string} name
 */
export function packageBin(name) {
  return join(nodeModules, '.bin', isWindows ? `${name}.cmd` : name);
}
