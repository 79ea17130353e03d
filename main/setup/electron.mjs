// Electron's binary is not in its npm package: it is downloaded when first needed, and the app goes on in the browser where it cannot be had.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findNode, nodeModules, toolEnvironment } from './paths.mjs';
import { run } from './process.mjs';
import { clearStamp, readStamp, say, writeStamp } from './steps.mjs';

const package_ = join(nodeModules, 'electron');
const FAILURE_STAMP = 'electron-download-failed';
const PROBE_SECONDS = 5;
const DOWNLOAD_SECONDS = 180;
/** how long a failed download is not tried again */
export const REMEMBER_HOURS = 24;

/** Path of the Electron program; null if it is not installed. */
export function electronProgram() {
  const pathFile = join(package_, 'path.txt');
  if (!existsSync(pathFile)) return null;
  const program = join(process.env.ELECTRON_OVERRIDE_DIST_PATH ?? join(package_, 'dist'), readFileSync(pathFile, 'utf8').trim());
  return existsSync(program) ? program : null;
}

/**
 * Whether a window could be shown, and if not, why.
 * @param {{ platform: string, environment: NodeJS.ProcessEnv, isRoot: boolean }} machine
 * @returns {string | null} the reason; null if it could
 */
export function whyNoWindow({ platform, environment, isRoot }) {
  if (environment.CI) return 'CI is set';
  if (platform === 'linux' && !environment.DISPLAY && !environment.WAYLAND_DISPLAY) return 'there is no display (DISPLAY and WAYLAND_DISPLAY are not set)';
  if (platform === 'linux' && isRoot) return "Electron's sandbox does not work for root";
  return null;
}

/**
 * @param {string | null} stamp when it failed, milliseconds
 * @param {number} now
 */
export function failedLately(stamp, now) {
  const age = now - Number(stamp ?? Number.NaN);
  return age >= 0 && age < REMEMBER_HOURS * 3_600_000;
}

/** @returns {Promise<string | null>} why the download address does not answer; null if it does */
async function probe() {
  if (process.env.ELECTRON_GET_USE_PROXY || process.env.HTTPS_PROXY || process.env.https_proxy) return null; // only the downloader knows the proxy
  const mirror = process.env.ELECTRON_MIRROR ?? process.env.npm_config_electron_mirror ?? 'https://github.com/electron/electron/releases/';
  try {
    await fetch(mirror, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(PROBE_SECONDS * 1000) });
    return null;
  } catch (error) {
    const cause = error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error);
    return `${new URL(mirror).host} does not answer: ${cause}`;
  }
}

/** @param {string} reason */
function giveUp(reason) {
  writeStamp(FAILURE_STAMP, String(Date.now()));
  say(`[setup] electron: ${reason}. Going on without the desktop window; the next try is in ${REMEMBER_HOURS} hours, or now with --window.`);
  return null;
}

/**
 * The Electron program, downloaded if need be; null, with the reason said, where it cannot be had.
 * @param {{ retry: boolean }} options retry: try again although it failed lately
 */
export async function obtainElectron({ retry }) {
  const installed = electronProgram();
  if (installed) return installed;
  if (!retry && failedLately(readStamp(FAILURE_STAMP), Date.now())) {
    say(`[setup] electron: the download failed less than ${REMEMBER_HOURS} hours ago and is not tried again (--window tries at once)`);
    return null;
  }
  const silence = await probe();
  if (silence) return giveUp(silence);
  say('[setup] electron: downloading the desktop shell (about 110 MB)');
  const { code, timedOut } = await run(findNode() ?? process.execPath, [join(package_, 'install.js')], {
    env: toolEnvironment(),
    outputToStderr: true,
    limitSeconds: DOWNLOAD_SECONDS,
  });
  const program = electronProgram();
  if (!program) return giveUp(timedOut ? `the download took more than ${DOWNLOAD_SECONDS} s` : `the download failed (exit code ${code})`);
  clearStamp(FAILURE_STAMP);
  return program;
}
