// `npm start`: setup, then the app: in a window where Electron can be had, else in the browser through `moebius serve`.
// Flags: --window (insist on the window), --browser (no window), --no-open (print the address only); all others go to `moebius serve`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { shellStep } from './bundles.mjs';
import { electronProgram, obtainElectron, whyNoWindow } from './electron.mjs';
import { findNode, root, toolEnvironment } from './paths.mjs';
import { findProgram, run } from './process.mjs';
import { performSteps, SetupError, say } from './steps.mjs';
import { appSteps } from './tasks.mjs';

/** A window that ends sooner than this with an error could not be shown. */
const FAILED_START_SECONDS = 10;

/** npm repeats the terminal's Ctrl+C: only insisting kills. */
const MOST_SIGNALS = 4;

const flags = process.argv.slice(2);
const own = ['--window', '--browser', '--no-open'];
const has = (/** @type {string} */ flag) => flags.includes(flag);

/** @returns {Promise<string | null>} the Electron program to use; null: use the browser */
async function chooseWindow() {
  if (has('--browser')) return null;
  const reason = whyNoWindow({ platform: process.platform, environment: process.env, isRoot: process.getuid?.() === 0 });
  if (reason) {
    say(`[start] no desktop window: ${reason}. The app runs in the browser instead.`);
    return null;
  }
  return electronProgram() ?? (await obtainElectron({ retry: has('--window') }));
}

/**
 * @param {string} program
 * @returns {Promise<number | null>} exit code; null: the window could not be shown
 */
async function runWindow(program) {
  await performSteps([shellStep], { quiet: true });
  const start = Date.now();
  const { code } = await run(program, [root], { cwd: root });
  return code !== 0 && Date.now() - start < FAILED_START_SECONDS * 1000 ? null : code;
}

/** @param {string} url */
function openBrowser(url) {
  const [command, ...parameters] = process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
  if (!command || findProgram([command]) === null) return;
  const child = spawn(command, [...parameters, url], { stdio: 'ignore', detached: true });
  child.on('error', () => {}); // the address is on the screen anyway
  child.unref();
}

const canOpen = () => !has('--no-open') && !process.env.CI && (process.platform !== 'linux' || Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY));

/** @returns {Promise<number>} exit code */
function runServer() {
  const node = findNode();
  if (!node) throw new SetupError('No Node that is new enough to run the app was found after setup.');
  const parameters = [join(root, 'main', 'cli', 'moebius.mjs'), 'serve', ...flags.filter((flag) => !own.includes(flag))];
  // In its own process group, so that Ctrl+C reaches it once, from here, and it can end cleanly.
  const detached = process.platform !== 'win32';
  const child = spawn(node, parameters, { cwd: root, env: toolEnvironment(), stdio: ['ignore', 'pipe', 'inherit'], detached });
  let seen = canOpen() ? '' : null;
  child.stdout.on('data', (/** @type {Buffer} */ chunk) => {
    process.stdout.write(chunk);
    if (seen === null) return;
    seen += chunk.toString();
    const url = /http:\/\/\S*#token=\S+(?=\s)/.exec(seen)?.[0];
    if (!url) return;
    seen = null;
    openBrowser(url);
  });
  let signals = 0;
  for (const signal of /** @type {NodeJS.Signals[]} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => child.kill(++signals < MOST_SIGNALS ? signal : 'SIGKILL'));
  }
  return new Promise((resolve) => {
    child.on('error', () => resolve(127));
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 0 : 1)));
  });
}

async function start() {
  await performSteps(appSteps);
  const program = await chooseWindow();
  if (program) {
    const code = await runWindow(program);
    if (code !== null) return code;
    say('[start] the desktop window ended at once (see above). The app runs in the browser instead; --browser skips the window.');
  }
  return runServer();
}

try {
  process.exitCode = await start();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(`[setup] ${error.message}`);
  process.exitCode = 1;
}
