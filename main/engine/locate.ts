// Where the engine executable, llama.cpp's backend libraries and the llama.cpp version of this installation are.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MoebiusError } from '../contract/errors.ts';

export interface LocateOptions {
  /** the executable; default: MOEBIUS_ENGINE of the environment, then `resourcesFolder`, then native/build of this checkout */
  executable?: string;
  /** the folder of an installed app that holds native/moebius-engine (Electron's process.resourcesPath) */
  resourcesFolder?: string;
  /** default: process.env */
  environment?: Record<string, string | undefined>;
  /** node_modules; default: the nearest one above this file that has node-llama-cpp */
  packagesFolder?: string;
  /** default: this process's */
  platform?: NodeJS.Platform;
  /** default: this process's */
  architecture?: string;
}

export interface EngineLocation {
  executable: string;
  /** CPU and base libraries first, then GPU variants */
  backendFolders: string[];
  /** backend packages that are installed but of another llama.cpp release */
  skipped: { folder: string; reason: string }[];
  /** without a leading v, e.g. `0.5.0` */
  llamaVersion: string;
}

/** glibc asks for huge pages for large blocks, on systems that give them to who asks: decoding with repacked weights (Q4_0) is 5% faster. */
const hugePages = 'glibc.malloc.hugetlb';

/** The environment that the engine is started with: the given one plus the backend folders, and how Linux is to give it memory. */
export function engineEnvironment(
  location: EngineLocation,
  base: Record<string, string | undefined> = process.env,
  platform: NodeJS.Platform = process.platform,
): Record<string, string | undefined> {
  const environment = { ...base, MOEBIUS_BACKEND_PATH: base.MOEBIUS_BACKEND_PATH ?? location.backendFolders.join(delimiter) };
  const tunables = base.GLIBC_TUNABLES;
  if (platform !== 'linux' || tunables?.includes(hugePages)) return environment;
  return { ...environment, GLIBC_TUNABLES: `${tunables ? `${tunables}:` : ''}${hugePages}=1` };
}

/** Throws MoebiusError `file.not-found` when a part of the installation is missing; the message says how to get it. */
export function locateEngine(options: LocateOptions = {}): EngineLocation {
  const platform = options.platform ?? process.platform;
  const packagesFolder = options.packagesFolder ?? findPackages(dirname(fileURLToPath(import.meta.url)));
  const llamaVersion = readRelease(packagesFolder);
  const backends = findBackends(packagesFolder, platform, options.architecture ?? process.arch, llamaVersion);
  return { executable: findExecutable(options, platform), llamaVersion, ...backends };
}

/** The program that lends this machine's devices to others; it lies beside the engine. Throws MoebiusError `file.not-found`. */
export function locateRpcServer(location: EngineLocation, platform: NodeJS.Platform = process.platform): string {
  const file = join(dirname(location.executable), platform === 'win32' ? 'moebius-rpc-server.exe' : 'moebius-rpc-server');
  if (existsSync(file)) return file;
  throw new MoebiusError('file.not-found', `${file} is missing. In a checkout, run "npm run build:native"; an installed app is incomplete, install it again.`, {
    details: { file },
  });
}

function findExecutable(options: LocateOptions, platform: NodeJS.Platform): string {
  const environment = options.environment ?? process.env;
  const name = platform === 'win32' ? 'moebius-engine.exe' : 'moebius-engine';
  const checkout = fileURLToPath(new URL(`../../native/build/${name}`, import.meta.url));
  const installed = options.resourcesFolder === undefined ? undefined : join(options.resourcesFolder, 'native', name);
  const named = options.executable ?? environment.MOEBIUS_ENGINE;
  const candidates = named ? [named] : [installed, checkout].filter((path) => path !== undefined);
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const advice = named
    ? 'Correct the path (option or MOEBIUS_ENGINE).'
    : 'In a checkout, run "npm run build:native"; an installed app is incomplete, install it again.';
  throw new MoebiusError('file.not-found', `The engine executable was not found at ${candidates.join(' or ')}. ${advice}`, { details: { candidates } });
}

/** Files of a packed app that are run or loaded lie beside its archive. */
function unpacked(path: string): string {
  return path.replace(/app\.asar(?=[\\/])/, 'app.asar.unpacked');
}

function findPackages(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    const candidate = unpacked(join(folder, 'node_modules'));
    if (existsSync(join(candidate, 'node-llama-cpp'))) return candidate;
    if (dirname(folder) === folder) break;
  }
  throw new MoebiusError('file.not-found', `The package node-llama-cpp was not found above ${start}. Run "npm ci" in the top folder.`, { details: { start } });
}

/** The llama.cpp release that node-llama-cpp's binaries and headers are of. */
function readRelease(packagesFolder: string): string {
  const file = join(packagesFolder, 'node-llama-cpp', 'llama', 'binariesGithubRelease.json');
  const release = readJson(file)?.release;
  if (typeof release !== 'string') {
    throw new MoebiusError('file.not-found', `${file} does not name a llama.cpp release. Run "npm ci" in the top folder.`, { details: { file } });
  }
  return release.replace(/^v/, '');
}

/** GPU variants in the order in which the engine loads them. */
const variants = ['metal', 'cuda', 'vulkan'];

function loadOrder(name: string, prefix: string): number {
  if (name === prefix) return -1;
  const index = variants.indexOf(name.slice(prefix.length + 1));
  return index < 0 ? variants.length : index;
}

function findBackends(
  packagesFolder: string,
  platform: NodeJS.Platform,
  architecture: string,
  llamaVersion: string,
): Pick<EngineLocation, 'backendFolders' | 'skipped'> {
  const scope = join(packagesFolder, '@node-llama-cpp');
  const prefix = platformName(platform, architecture);
  const found: { folder: string; order: number }[] = [];
  const skipped: EngineLocation['skipped'] = [];
  for (const name of existsSync(scope) ? readdirSync(scope) : []) {
    if (name !== prefix && !name.startsWith(`${prefix}-`)) continue;
    const folder = join(scope, name, 'bins', name);
    // an "ext" package holds parts of another variant and has no libraries of its own under its name
    if (!existsSync(folder)) continue;
    const release = readBuildRelease(folder);
    if (release === llamaVersion) found.push({ folder, order: loadOrder(name, prefix) });
    else skipped.push({ folder, reason: `built of llama.cpp ${release ?? 'an unknown release'}, ${llamaVersion} is needed` });
  }
  if (found.length === 0) {
    const advice = `Run "npm ci" on this machine, with optional packages.`;
    throw new MoebiusError('file.not-found', `No llama.cpp ${llamaVersion} libraries for ${prefix} in ${scope}. ${advice}`, {
      details: { scope, prefix, llamaVersion, skipped },
    });
  }
  found.sort((a, b) => a.order - b.order);
  return { backendFolders: found.map((each) => each.folder), skipped };
}

function platformName(platform: NodeJS.Platform, architecture: string): string {
  const system = platform === 'win32' ? 'win' : platform === 'darwin' ? 'mac' : platform;
  return `${system}-${architecture === 'arm' ? 'armv7l' : architecture}`;
}

function readBuildRelease(folder: string): string | undefined {
  const options = readJson(join(folder, '_nlcBuildMetadata.json'))?.buildOptions as { llamaCpp?: { release?: unknown } } | undefined; // every step is checked
  const release = options?.llamaCpp?.release;
  return typeof release === 'string' ? release.replace(/^v/, '') : undefined;
}

function readJson(file: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined; // an object's keys are strings
  } catch {
    return undefined;
  }
}
