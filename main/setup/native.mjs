// The engine: CMake configures and builds native/ into native/build (and native/build-sanitize for the tests).
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { nativeBuild, nativeSanitizeBuild, nativeThreadsBuild, root, toolEnvironment } from './paths.mjs';
import { findProgram, run } from './process.mjs';
import { fingerprint, readStamp, SetupError, writeStamp } from './steps.mjs';

const sourceFingerprint = () =>
  fingerprint(['native', 'node_modules/node-llama-cpp/llama/llama.cpp.info.json', 'node_modules/node-llama-cpp/package.json'], (path) =>
    path.startsWith('native/build'),
  );

/** @param {string} folder */
function engineIn(folder) {
  return join(folder, process.platform === 'win32' ? 'moebius-engine.exe' : 'moebius-engine');
}

/**
 * A build folder that was copied or moved with its checkout belongs to another source folder: CMake refuses it.
 * @param {string} cache content of CMakeCache.txt
 * @param {string} source
 */
export function isForeignBuild(cache, source) {
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(cache)?.[1];
  return home !== undefined && home !== source.replaceAll('\\', '/');
}

/**
 * @param {string} folder
 * @param {string[]} definitions
 */
async function configure(folder, definitions) {
  const cache = join(folder, 'CMakeCache.txt');
  if (existsSync(cache) && isForeignBuild(readFileSync(cache, 'utf8'), join(root, 'native'))) rmSync(folder, { recursive: true });
  const generator = !existsSync(cache) && findProgram(['ninja']) ? ['-G', 'Ninja'] : [];
  const parameters = ['-S', join(root, 'native'), '-B', folder, ...generator, ...definitions];
  const { code } = await run('cmake', parameters, { cwd: root, env: toolEnvironment(), outputToStderr: true });
  if (code !== 0) throw new SetupError(`CMake could not configure the engine (exit code ${code}); its messages are above. To start afresh, delete ${folder}.`);
}

/**
 * @param {string} folder
 * @param {string[]} targets empty: everything
 */
async function compile(folder, targets) {
  const parameters = ['--build', folder, '--parallel', String(availableParallelism()), '--config', 'RelWithDebInfo'];
  const chosen = targets.length > 0 ? ['--target', ...targets] : [];
  const { code } = await run('cmake', [...parameters, ...chosen], { cwd: root, env: toolEnvironment(), outputToStderr: true });
  if (code !== 0) throw new SetupError(`The engine did not compile (exit code ${code}); the compiler's messages are above. To start afresh, delete ${folder}.`);
}

/**
 * @param {{ name: string, what: string, folder: string, definitions: string[], targets: string[] }} build
 * @returns {import('./steps.mjs').Step}
 */
function nativeStep({ name, what, folder, definitions, targets }) {
  const stamp = `${basename(folder)}-${targets.join('-') || 'all'}`;
  return {
    name,
    what,
    isDone: () => existsSync(engineIn(folder)) && readStamp(stamp) === sourceFingerprint(),
    async perform() {
      const sources = sourceFingerprint();
      await configure(folder, definitions);
      await compile(folder, targets);
      writeStamp(stamp, sources);
    },
  };
}

/** The engine alone: all that the app needs. */
export const engineStep = nativeStep({
  name: 'engine',
  what: 'building the native engine (under a minute on 2 cores)',
  folder: nativeBuild,
  definitions: [],
  targets: ['moebius-engine', 'moebius-rpc-server'],
});

/** The experts' device for stock llama.cpp programs, which nothing but its test needs. */
export const pluginStep = nativeStep({
  name: 'plug-in',
  what: 'building the plug-in for llama.cpp programs',
  folder: nativeBuild,
  definitions: [],
  targets: ['ggml-moebius-experts'],
});

/** The engine and its tests. */
export const nativeTestStep = nativeStep({
  name: 'native tests',
  what: 'building the engine and its tests',
  folder: nativeBuild,
  definitions: [],
  targets: [],
});

export const nativeSanitizeStep = nativeStep({
  name: 'native tests, sanitized',
  what: 'building the engine and its tests with AddressSanitizer and UndefinedBehaviorSanitizer',
  folder: nativeSanitizeBuild,
  definitions: ['-DMOEBIUS_SANITIZE=ON'],
  targets: [],
});

export const nativeThreadsStep = nativeStep({
  name: 'native tests, threads',
  what: 'building the engine and the tests of its threads with ThreadSanitizer',
  folder: nativeThreadsBuild,
  definitions: ['-DMOEBIUS_SANITIZE_THREADS=ON'],
  targets: [],
});
