// Child processes: run to the end with a limit, and look for programs.
import { spawn, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * @typedef {object} RunOptions
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {number} [limitSeconds] the process and its children are killed after this long
 * @property {boolean} [outputToStderr] keeps our stdout clean
 * @property {boolean} [quiet] drops its output
 * @property {boolean} [keepStdin] it reads our stdin; otherwise it has none
 */

/** @typedef {{ code: number, timedOut: boolean }} RunResult */

/**
 * Runs a program to its end, its output going where ours goes. Never rejects: a program that cannot be started has code 127.
 * @param {string} command
 * @param {string[]} parameters
 * @param {RunOptions} [options]
 * @returns {Promise<RunResult>}
 */
export function run(command, parameters, options = {}) {
  const output = options.quiet ? 'ignore' : options.outputToStderr ? process.stderr.fd : 'inherit';
  // With a limit it leads its own process group, so that the limit reaches its children too.
  const group = options.limitSeconds !== undefined && process.platform !== 'win32';
  return new Promise((resolve) => {
    const child = spawn(command, parameters, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: [options.keepStdin ? 'inherit' : 'ignore', output, options.quiet ? 'ignore' : 'inherit'],
      detached: group,
      shell: command.endsWith('.cmd'),
    });
    let timedOut = false;
    const kill = (/** @type {NodeJS.Signals} */ signal) => killTree(child, group, signal);
    const stopLate = () => {
      timedOut = true;
      kill('SIGKILL');
    };
    const timer = options.limitSeconds === undefined ? undefined : setTimeout(stopLate, options.limitSeconds * 1000);
    // Ctrl+C in a terminal already reaches a child of our own process group.
    const forward = (/** @type {NodeJS.Signals} */ signal) => (signal === 'SIGINT' && !group && process.stdin.isTTY ? undefined : kill(signal));
    const finish = (/** @type {number} */ code) => {
      clearTimeout(timer);
      for (const signal of signals) process.off(signal, forward);
      if (group) kill('SIGKILL'); // children that outlived it
      resolve({ code, timedOut });
    };
    for (const signal of signals) process.on(signal, forward);
    child.on('error', () => finish(127));
    child.on('exit', (code, signal) => finish(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}

/** @type {NodeJS.Signals[]} */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {boolean} group
 * @param {NodeJS.Signals} signal
 */
function killTree(child, group, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(group ? -child.pid : child.pid, signal);
  } catch {
    // already gone
  }
}

/**
 * What a program prints on stdout; null if it cannot be run or fails.
 * @param {string} command
 * @param {string[]} parameters
 */
export function capture(command, parameters) {
  const { status, stdout } = spawnSync(command, parameters, { encoding: 'utf8', timeout: 10_000 });
  return status === 0 ? stdout.trim() : null;
}

/**
 * The first of these programs that PATH has; null if none.
 * @param {string[]} names
 */
export function findProgram(names) {
  const endings = process.platform === 'win32' ? ['.exe', '.cmd', ''] : [''];
  for (const name of names) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      for (const ending of endings) {
        const path = join(folder, name + ending);
        if (folder !== '' && statSync(path, { throwIfNoEntry: false })?.isFile()) return path;
      }
    }
  }
  return null;
}
