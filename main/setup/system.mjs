// What npm does not bring: a C++ compiler and CMake to build the engine, a browser and a software GPU for the tests.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, run } from './process.mjs';
import { SetupError, say } from './steps.mjs';

/**
 * @typedef {object} Requirement
 * @property {string} name
 * @property {string[]} packages of Debian and Ubuntu
 * @property {string} purpose
 * @property {boolean} required without it nothing works; otherwise some tests fail
 * @property {() => boolean} isPresent
 */

/** Browsers that Playwright can drive, by preference. */
export const chromiumNames = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge'];

const vulkanManifests = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];
const libraryFolders = ['/usr/lib', '/usr/lib64', '/lib', '/usr/local/lib', `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`];

/** @param {string} folder */
const list = (folder) => (existsSync(folder) ? readdirSync(folder) : []);
const hasSoftwareGpu = () =>
  vulkanManifests.some((folder) => list(folder).some((file) => file.startsWith('lvp_icd'))) &&
  libraryFolders.some((folder) => existsSync(join(folder, 'libvulkan.so.1')));

/** @type {Requirement[]} */
export const buildRequirements = [
  { name: 'git', packages: ['git'], purpose: "unpack llama.cpp's headers", required: true, isPresent: () => findProgram(['git']) !== null },
  { name: 'CMake', packages: ['cmake'], purpose: 'build the engine', required: true, isPresent: () => findProgram(['cmake']) !== null },
  {
    name: 'a C++ compiler',
    packages: ['g++', 'make'],
    purpose: 'build the engine',
    required: true,
    isPresent: () => process.platform === 'win32' || Boolean(process.env.CXX) || findProgram(['c++', 'g++', 'clang++']) !== null,
  },
];

/** @type {Requirement[]} */
export const testRequirements = [
  {
    name: 'Chromium',
    packages: ['chromium'],
    purpose: 'run the browser tests (or name a browser in CHROMIUM_PATH)',
    required: false,
    isPresent: () => Boolean(process.env.CHROMIUM_PATH) || process.platform !== 'linux' || findProgram(chromiumNames) !== null,
  },
  {
    name: "Mesa's software Vulkan device",
    packages: ['mesa-vulkan-drivers', 'libvulkan1'],
    purpose: 'test GPU offload without a GPU',
    required: false,
    isPresent: () => process.platform !== 'linux' || hasSoftwareGpu(),
  },
];

/**
 * Words for what is missing and cannot be installed from here.
 * @param {Requirement[]} missing
 */
export function describeMissing(missing) {
  const packages = missing.flatMap((requirement) => requirement.packages).join(' ');
  const lines = missing.map((requirement) => `  ${requirement.name} is missing: needed to ${requirement.purpose}`);
  const advice = {
    linux: `On Debian and Ubuntu: sudo apt-get install ${packages}`,
    darwin: 'On macOS: xcode-select --install, and CMake from https://cmake.org or "brew install cmake"',
    win32: 'On Windows: Visual Studio Build Tools with C++ and CMake, and Git',
  };
  return [...lines, `  ${advice[/** @type {keyof typeof advice} */ (process.platform)] ?? advice.linux}`].join('\n');
}

const canInstall = () => process.platform === 'linux' && process.getuid?.() === 0 && findProgram(['apt-get']) !== null;

/** @param {string[]} packages */
async function aptInstall(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env, outputToStderr: true, limitSeconds: 300 });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], { env, outputToStderr: true, limitSeconds: 900 });
}

/**
 * A step that installs what is missing where it may (root on Debian or Ubuntu). Elsewhere it throws if something required is missing and warns otherwise.
 * @param {string} name
 * @param {Requirement[]} requirements
 * @returns {import('./steps.mjs').Step}
 */
export function systemStep(name, requirements) {
  const findMissing = () => requirements.filter((requirement) => !requirement.isPresent());
  return {
    name,
    what: `looking for ${requirements.map((requirement) => requirement.name).join(', ')}${canInstall() ? '; installing what is missing with apt-get' : ''}`,
    isDone: () => findMissing().length === 0,
    async perform() {
      if (canInstall()) await aptInstall(findMissing().flatMap((requirement) => requirement.packages));
      const missing = findMissing();
      if (missing.length === 0) return;
      if (missing.some((requirement) => requirement.required)) throw new SetupError(`Something is missing on this machine.\n${describeMissing(missing)}`);
      say(`[setup] ${name}: going on without, the tests that need it will fail\n${describeMissing(missing)}`);
    },
  };
}
