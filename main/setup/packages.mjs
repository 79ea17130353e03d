// npm packages as the lock file has them, and a Node that is new enough to run the sources.
import { existsSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { findNode, nodeModules, OLDEST_NODE, packageBin, packagedNode, root } from './paths.mjs';
import { run } from './process.mjs';
import { SetupError, say } from './steps.mjs';

/** @typedef {{ version?: string, optional?: boolean, devOptional?: boolean }} LockEntry */
/** @typedef {{ packages?: Record<string, LockEntry> }} LockFile */

/**
 * Packages that the lock file wants and that are not installed in that version; optional ones may be missing (other platforms).
 * @param {LockFile} wanted package-lock.json
 * @param {LockFile} installed node_modules/.package-lock.json, which npm writes at the end of an installation
 * @returns {string[]}
 */
export function outdatedPackages(wanted, installed) {
  const have = installed.packages ?? {};
  return Object.entries(wanted.packages ?? {})
    .filter(([path, entry]) => path !== '' && (have[path] ? have[path].version !== entry.version : !entry.optional && !entry.devOptional))
    .map(([path, entry]) => `${path.replace(/^.*node_modules\//, '')}@${entry.version}`);
}

/**
 * @param {string} path
 * @returns {LockFile}
 */
function readLock(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
}

const arePackagesInstalled = () => {
  const installed = join(nodeModules, '.package-lock.json');
  return existsSync(installed) && outdatedPackages(readLock(join(root, 'package-lock.json')), readLock(installed)).length === 0;
};

const SMALLEST_NODE_BYTES = 1_000_000;
const isNodeInstalled = () => (statSync(packagedNode, { throwIfNoEntry: false })?.size ?? 0) > SMALLEST_NODE_BYTES;

/** npm as the one that runs this script, else the one of PATH. Its Node must not be the one in node_modules, which `npm ci` deletes. */
function npmCommand() {
  const { npm_execpath: script, npm_node_execpath: node } = process.env;
  if (script?.endsWith('.js') && node && existsSync(node)) return { command: node, parameters: [script] };
  return { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', parameters: [] };
}

async function installPackages() {
  const { command, parameters } = npmCommand();
  const { code } = await run(command, [...parameters, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    outputToStderr: true,
  });
  if (code === 0) return;
  throw new SetupError(
    `"npm ci" failed with exit code ${code}; its messages are above. It needs the npm registry (or a mirror set with "npm config set registry URL") and about 2 GB of free disk space. Then run the command again.`,
  );
}

/** npm links only programs that are there when it installs a package. */
function linkNode() {
  if (process.platform === 'win32') return; // PATH is searched in the package's own folder
  const link = packageBin('node');
  rmSync(link, { force: true });
  symlinkSync(join('..', 'node', 'bin', 'node'), link);
}

/** The package `node` fetches the binary of this platform in an install script, which is not run by default: it is run here. */
async function installNode() {
  const environment = { ...process.env, npm_config_ignore_scripts: 'true' };
  const { code } = await run(process.env.npm_node_execpath ?? process.execPath, ['installArchSpecificPackage.js'], {
    cwd: join(nodeModules, 'node'),
    env: environment,
    outputToStderr: true,
  });
  if (code === 0 && isNodeInstalled()) return linkNode();
  const instead = findNode();
  if (!instead)
    throw new SetupError(
      `Could not install Node for ${process.platform}-${process.arch} (exit code ${code}). Install Node ${OLDEST_NODE} or newer and run the command again.`,
    );
  say(`[setup] node: could not install the packaged Node (exit code ${code}); using ${instead}, ${process.version}`);
}

/** @type {import('./steps.mjs').Step} */
export const packagesStep = {
  name: 'packages',
  what: 'npm ci (about 1 GB; minutes on a slow line)',
  isDone: arePackagesInstalled,
  perform: installPackages,
};

/** @type {import('./steps.mjs').Step} */
export const nodeStep = {
  name: 'node',
  what: 'fetching the Node that runs the app (about 60 MB)',
  isDone: isNodeInstalled,
  perform: installNode,
};
