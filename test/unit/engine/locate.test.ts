import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engineEnvironment, locateEngine } from '../../../main/engine/locate.ts';

let root: string;
const packagesFolder = () => join(root, 'node_modules');

function write(path: string, content = ''): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}
function backend(name: string, release = 'v1.2.3'): string {
  const file = `node_modules/@node-llama-cpp/${name}/bins/${name}/_nlcBuildMetadata.json`;
  return dirname(write(file, JSON.stringify({ buildOptions: { llamaCpp: { release } } })));
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'moebius-locate-'));
  write('node_modules/node-llama-cpp/llama/binariesGithubRelease.json', '{"release":"v1.2.3"}');
  write('engine');
});
afterEach(() => rmSync(root, { recursive: true }));

const linux = () => ({ packagesFolder: packagesFolder(), executable: join(root, 'engine'), platform: 'linux', architecture: 'x64' }) as const;

describe('locateEngine', () => {
  it('lists the CPU package first, then GPU variants, of this platform and release only', () => {
    const [vulkan, base, cuda] = ['linux-x64-vulkan', 'linux-x64', 'linux-x64-cuda'].map((name) => backend(name));
    const old = backend('linux-x64-sycl', 'v1.0.0');
    for (const name of ['linux-arm64', 'mac-x64', 'win-x64-cuda']) backend(name);
    write('node_modules/@node-llama-cpp/linux-x64-cuda-ext/bins/linux-x64-cuda/fallback/libggml-cuda.so');
    expect(locateEngine(linux())).toEqual({
      executable: join(root, 'engine'),
      backendFolders: [base, cuda, vulkan],
      skipped: [{ folder: old, reason: 'built of llama.cpp 1.0.0, 1.2.3 is needed' }],
      llamaVersion: '1.2.3',
    });
  });

  it.each([
    ['darwin', 'arm64', 'mac-arm64-metal'],
    ['win32', 'x64', 'win-x64'],
    ['linux', 'arm', 'linux-armv7l'],
  ] as const)('knows the package of %s %s', (platform, architecture, name) => {
    const folder = backend(name);
    expect(locateEngine({ ...linux(), platform, architecture }).backendFolders).toEqual([folder]);
  });

  it('takes the executable of the option, then of MOEBIUS_ENGINE, then of the installed app', () => {
    backend('linux-x64');
    const installed = write('resources/native/moebius-engine');
    const environment = { MOEBIUS_ENGINE: join(root, 'engine') };
    const { executable, ...rest } = { ...linux(), environment, resourcesFolder: join(root, 'resources') };
    expect(locateEngine({ ...rest, executable, environment: { MOEBIUS_ENGINE: '/no' } }).executable).toBe(executable);
    expect(locateEngine(rest).executable).toBe(environment.MOEBIUS_ENGINE);
    expect(locateEngine({ ...rest, environment: {} }).executable).toBe(installed);
  });

  it('says what is missing and how to get it', () => {
    expect(() => locateEngine(linux())).toThrow('No llama.cpp 1.2.3 libraries for linux-x64');
    backend('linux-x64');
    expect(() => locateEngine({ ...linux(), executable: '/no/such/engine' })).toThrow('not found at /no/such/engine. Correct the path');
    rmSync(join(packagesFolder(), 'node-llama-cpp'), { recursive: true });
    expect(() => locateEngine(linux())).toThrow('Run "npm ci"');
  });

  it('finds the packages of this checkout', () => {
    const location = locateEngine({ executable: join(root, 'engine') });
    expect(location.llamaVersion).toMatch(/^\d+\.\d+\.\d+$/);
    expect(location.backendFolders.length).toBeGreaterThan(0);
    expect(location.skipped).toEqual([]);
  });
});

describe('engineEnvironment', () => {
  it('names the backend folders, unless the environment already does', () => {
    const location = { executable: 'x', backendFolders: ['/a', '/b'], skipped: [], llamaVersion: '1' };
    expect(engineEnvironment(location, { HOME: '/h' }, 'win32')).toEqual({ HOME: '/h', MOEBIUS_BACKEND_PATH: `/a${delimiter}/b` });
    expect(engineEnvironment(location, { MOEBIUS_BACKEND_PATH: '/mine' }, 'darwin')).toEqual({ MOEBIUS_BACKEND_PATH: '/mine' });
  });

  it('asks for huge pages on Linux, unless the environment says otherwise', () => {
    const location = { executable: 'x', backendFolders: ['/a'], skipped: [], llamaVersion: '1' };
    const tunables = (given?: string) => engineEnvironment(location, { GLIBC_TUNABLES: given }, 'linux').GLIBC_TUNABLES;
    expect(tunables()).toBe('glibc.malloc.hugetlb=1');
    expect(tunables('glibc.malloc.check=1')).toBe('glibc.malloc.check=1:glibc.malloc.hugetlb=1');
    expect(tunables('glibc.malloc.hugetlb=0')).toBe('glibc.malloc.hugetlb=0');
  });
});
