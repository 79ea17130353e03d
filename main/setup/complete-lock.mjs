// Run after `npm install` changed package-lock.json: `node main/setup/complete-lock.mjs`.
// npm leaves optional packages of other platforms out of the lock file when the registry at hand does not have them (a mirror that lags behind),
// and then `npm ci` refuses the lock file on every machine. This adds the missing entries, with what their names say and no integrity.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './paths.mjs';

/**
 * @typedef {object} LockPackage
 * @property {string} [version]
 * @property {string[]} [cpu]
 * @property {boolean} [dev]
 * @property {string[]} [libc]
 * @property {boolean} [optional]
 * @property {string[]} [os]
 * @property {Record<string, string>} [optionalDependencies]
 */

/** @type {Record<string, string>} */
const systems = { mac: 'darwin', darwin: 'darwin', win: 'win32', win32: 'win32', linux: 'linux', android: 'android', freebsd: 'freebsd' };

/**
 * The platform that a package is for, by its name; null if the name does not say.
 * @param {string} name
 * @returns {{ os: string[], cpu: string[], libc?: string[] } | null}
 */
export function platformOf(name) {
  const [, system = '', processor = '', musl] = /[/-](mac|darwin|win32|win|linux|android|freebsd)-(arm64|x64|riscv64|armv7l)(-musl)?/.exec(name) ?? [];
  const os = systems[system];
  if (!os) return null;
  const libc = os === 'linux' ? { libc: [musl ? 'musl' : 'glibc'] } : {};
  return { os: [os], cpu: [processor === 'armv7l' ? 'arm' : processor], ...libc };
}

/**
 * Adds an entry for every optional dependency that has none.
 * @param {Record<string, LockPackage>} packages of the lock file; is not changed
 * @returns {{ packages: Record<string, LockPackage>, added: string[] }}
 */
export function completeLock(packages) {
  /** @type {Record<string, LockPackage>} */
  const complete = { ...packages };
  const added = [];
  for (const parent of Object.values(packages)) {
    for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
      const platform = platformOf(name);
      if (complete[`node_modules/${name}`] || !platform || !/^\d+\.\d+\.\d+$/.test(version)) continue;
      complete[`node_modules/${name}`] = { version, ...platform, ...(parent.dev ? { dev: true } : {}), optional: true };
      added.push(`${name}@${version}`);
    }
  }
  const sorted = Object.entries(complete).sort(([a], [b]) => a.localeCompare(b, 'en'));
  return { packages: Object.fromEntries(sorted), added };
}

function main() {
  const path = join(root, 'package-lock.json');
  const lock = JSON.parse(readFileSync(path, 'utf8'));
  const { packages, added } = completeLock(lock.packages);
  if (added.length > 0) writeFileSync(path, `${JSON.stringify({ ...lock, packages }, null, 2)}\n`);
  process.stdout.write(added.length > 0 ? `Added to package-lock.json: ${added.join(', ')}\n` : 'package-lock.json is complete.\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
