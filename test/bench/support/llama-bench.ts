// The baseline: llama.cpp's own llama-bench, built once from the same source bundle against the same prebuilt libraries that the engine uses.
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
const PROGRAM_SOURCES = ['tools/llama-bench/llama-bench.cpp', 'tools/llama-bench/main.cpp'];
const INCLUDES = ['include', 'ggml/include', 'common', 'vendor'];

/** Path of llama-bench; compiles it (about 20 s) unless that was done for this llama.cpp. */
export async function buildLlamaBench(log: (text: string) => void): Promise<string> {
  const { backendFolders, llamaVersion } = locateEngine();
  const [libraries] = backendFolders;
  if (!libraries || process.platform === 'win32') throw new Error('llama-bench is built on Linux and macOS only');
  const hash = createHash('sha256').update(libraries);
  for (const source of PROGRAM_SOURCES) hash.update(readFileSync(join(sources, source)));
  const folder = join(benchFolder(), `llama-bench-${llamaVersion}-${hash.digest('hex').slice(0, 12)}`);
  const program = join(folder, 'llama-bench');
  if (existsSync(program)) return program;
  log(`building llama-bench of llama.cpp ${llamaVersion} (once)`);
  const building = `${folder}.new`;
  rmSync(building, { recursive: true, force: true });
  mkdirSync(building, { recursive: true });
  // It looks for its backends beside itself.
  for (const name of readdirSync(libraries)) symlinkSync(join(libraries, name), join(building, name));
  await compile(building, libraries);
  renameSync(building, folder);
  return program;
}

async function compile(folder: string, libraries: string): Promise<void> {
  const compiler = process.env.CXX ?? findProgram(['c++', 'g++', 'clang++']);
  if (!compiler) throw new Error('No C++ compiler was found; llama-bench needs one.');
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
    const inputs = PROGRAM_SOURCES.map((path) => join(sources, path));
    await execute(compiler, ['-std=c++17', '-O2', ...shared, ...includes, ...inputs, ...linking, '-o', join(folder, 'llama-bench')], { maxBuffer: 64 << 20 });
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    writeFileSync(log, output);
    throw new Error(`llama-bench did not compile; the compiler's messages are in ${log}:\n${output.slice(0, 2000)}`);
  }
}

export interface LlamaBenchOptions {
  model: string;
  threads: number;
  batch: number;
  /** prompt tokens to evaluate; 0: none */
  prompt: number;
  /** tokens to generate; 0: none */
  generate: number;
  /** tokens in the KV cache before */
  depth: number;
}

export function llamaBenchParameters({ model, threads, batch, prompt, generate, depth }: LlamaBenchOptions): string[] {
  const numbers = { '-t': threads, '-b': batch, '-ub': batch, '-p': prompt, '-n': generate, '-d': depth, '-ngl': 0, '-r': 1 };
  return [
    '-m',
    model,
    ...Object.entries(numbers).flatMap(([flag, value]) => [flag, String(value)]),
    '-ctk',
    'f16',
    '-ctv',
    'f16',
    '-fa',
    'auto',
    '-dev',
    'none',
    '-o',
    'json',
  ];
}

/** Tokens per second of one test, after llama-bench's own warm-up. */
export async function runLlamaBench(program: string, options: LlamaBenchOptions): Promise<number> {
  const { stdout } = await execute(program, llamaBenchParameters(options), { maxBuffer: 16 << 20 });
  const [result]: { samples_ts?: number[] }[] = JSON.parse(stdout);
  const speed = result?.samples_ts?.[0];
  if (speed === undefined) throw new Error(`llama-bench printed no speed: ${stdout}`);
  return speed;
}
