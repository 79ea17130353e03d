// llama.cpp's own tools, built once from the same source bundle against the same prebuilt libraries that the engine uses.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { locateEngine } from '../../../main/engine/locate.ts';
import { nativeBuild } from '../../../main/setup/paths.mjs';
import { findProgram } from '../../../main/setup/process.mjs';
import { benchFolder } from './paths.ts';

const execute = promisify(execFile);
/** unpacked from node-llama-cpp's bundle by the engine's build */
const sources = join(nativeBuild, 'llama-src');
const programSources = {
  'llama-bench': ['tools/llama-bench/llama-bench.cpp', 'tools/llama-bench/main.cpp'],
  'llama-completion': ['tools/completion/completion.cpp', 'tools/completion/main.cpp'],
  'llama-quantize': ['tools/quantize/quantize.cpp', 'tools/quantize/main.cpp'],
};
export type LlamaTool = keyof typeof programSources;

const INCLUDES = ['include', 'ggml/include', 'common', 'vendor'];

/** Path of the program; compiles it (about 20 s) unless that was done for this llama.cpp. */
export async function buildLlamaTool(tool: LlamaTool, log: (text: string) => void): Promise<string> {
  const { backendFolders, llamaVersion } = locateEngine();
  const [libraries] = backendFolders;
  if (!libraries || process.platform === 'win32') throw new Error(`${tool} is built on Linux and macOS only`);
  const hash = createHash('sha256').update(libraries);
  for (const source of programSources[tool]) hash.update(readFileSync(join(sources, source)));
  const folder = join(benchFolder(), `${tool}-${llamaVersion}-${hash.digest('hex').slice(0, 12)}`);
  const program = join(folder, tool);
  if (existsSync(program)) return program;
  log(`building ${tool} of llama.cpp ${llamaVersion} (once)`);
  const building = `${folder}.new`;
  rmSync(building, { recursive: true, force: true });
  mkdirSync(building, { recursive: true });
  // It looks for its backends beside itself.
  for (const name of readdirSync(libraries)) symlinkSync(join(libraries, name), join(building, name));
  await compile(tool, building, libraries);
  renameSync(building, folder);
  return program;
}

async function compile(tool: LlamaTool, folder: string, libraries: string): Promise<void> {
  const compiler = process.env.CXX ?? findProgram(['c++', 'g++', 'clang++']);
  if (!compiler) throw new Error(`No C++ compiler was found; ${tool} needs one.`);
  const wanted = ['llama-common', 'llama.', 'ggml.', 'ggml-base'];
  const linked = wanted.map((prefix) => {
    const name = readdirSync(libraries).find((file) => file.startsWith(`lib${prefix}`) && /\.(so|dylib)$/.test(file));
    if (!name) throw new Error(`no lib${prefix}* in ${libraries}`);
    return join(libraries, name);
  });
  const origin = process.platform === 'darwin' ? '@loader_path' : '$ORIGIN';
  const linking = [...linked, `-Wl,-rpath,${origin}`, ...(process.platform === 'darwin' ? [] : ['-Wl,--allow-shlib-undefined', '-pthread'])];
  const log = join(folder, 'compile.log');
  try {
    const includes = INCLUDES.map((path) => `-I${join(sources, path)}`);
    const shared = ['-DGGML_SHARED', '-DGGML_BACKEND_SHARED', '-DLLAMA_SHARED'];
    const inputs = programSources[tool].map((path) => join(sources, path));
    await execute(compiler, ['-std=c++17', '-O2', ...shared, ...includes, ...inputs, ...linking, '-o', join(folder, tool)], { maxBuffer: 64 << 20 });
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    writeFileSync(log, output);
    throw new Error(`${tool} did not compile; the compiler's messages are in ${log}:\n${output.slice(0, 2000)}`);
  }
}
