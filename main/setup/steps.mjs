// A step of setup: says in one line what it does, does it once, remembers that it is done.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cacheFolder, root } from './paths.mjs';

/** A step that failed for a reason the user can do something about: the message says what failed and what to do. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';
}

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string} what one line: what it does, and how long that may take
 * @property {() => boolean} isDone
 * @property {() => Promise<void>} perform throws SetupError
 */

const HEARTBEAT_SECONDS = 30;

/** @param {string} text */
export const say = (text) => void process.stderr.write(`${text}\n`);

/**
 * Performs the steps that are not done, in order.
 * @param {Step[]} steps
 * @param {{ quiet?: boolean }} [options] quiet: say nothing of steps that are done
 */
export async function performSteps(steps, options = {}) {
  for (const step of steps) {
    if (step.isDone()) {
      if (!options.quiet) say(`[setup] ${step.name}: up to date`);
      continue;
    }
    say(`[setup] ${step.name}: ${step.what}`);
    const start = Date.now();
    const seconds = () => Math.round((Date.now() - start) / 1000);
    const heartbeat = setInterval(() => say(`[setup] ${step.name}: still at it, ${seconds()} s`), HEARTBEAT_SECONDS * 1000);
    try {
      await step.perform();
    } finally {
      clearInterval(heartbeat);
    }
    say(`[setup] ${step.name}: done in ${seconds()} s`);
  }
}

/**
 * Hash of the content of files and folders (recursively), for "has anything changed since".
 * @param {string[]} paths relative to the root
 * @param {(path: string) => boolean} [ignore] is given paths relative to the root with forward slashes
 */
export function fingerprint(paths, ignore = () => false) {
  const hash = createHash('sha256').update(process.platform + process.arch);
  const visit = (/** @type {string} */ path) => {
    const name = relative(root, path).replaceAll('\\', '/');
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat || ignore(name)) return;
    if (stat.isDirectory()) for (const entry of readdirSync(path).sort()) visit(join(path, entry));
    else hash.update(`\0${name}\0`).update(readFileSync(path));
  };
  for (const path of paths) visit(join(root, path));
  return hash.digest('hex');
}

const stampPath = (/** @type {string} */ name) => join(cacheFolder, `${name}.stamp`);

/**
 * The value that a step left behind when it was last done; null if never.
 * @param {string} name
 */
export function readStamp(name) {
  try {
    return readFileSync(stampPath(name), 'utf8');
  } catch {
    return null;
  }
}

/**
 * A new file each time: copies of node_modules that share files by hard links have stamps of their own.
 * @param {string} name
 * @param {string} value
 */
export function writeStamp(name, value) {
  mkdirSync(cacheFolder, { recursive: true });
  clearStamp(name);
  writeFileSync(stampPath(name), value);
}

/** @param {string} name */
export const clearStamp = (name) => rmSync(stampPath(name), { force: true });
