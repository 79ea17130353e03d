// Stock llama-server, built once from the same source as the engine's headers and against the same prebuilt libraries.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { locateEngine } from '../../main/engine/locate.ts';
import { cacheFolder, nativeBuild } from '../../main/setup/paths.mjs';
import { findProgram } from '../../main/setup/process.mjs';

const execute = promisify(execFile);
const project = join(import.meta.dirname, 'llama-server');
/** unpacked from node-llama-cpp's bundle by the engine's build */
const source = join(nativeBuild, 'llama-src');

/** Path of the program; compiles it (two minutes on two cores) unless that was done for this llama.cpp. */
export async function buildLlamaServer(): Promise<string> {
  const { backendFolders, llamaVersion } = locateEngine();
  const [libraries] = backendFolders;
  if (!libraries || process.platform === 'win32') throw new Error('llama-server is built on Linux and macOS only');
  const hash = createHash('sha256')
    .update(libraries)
    .update(readFileSync(join(project, 'CMakeLists.txt')));
  for (const name of readdirSync(join(source, 'tools/server')).filter((file) => file.endsWith('.cpp')))
    hash.update(readFileSync(join(source, 'tools/server', name)));
  const folder = join(cacheFolder, `llama-server-${llamaVersion}-${hash.digest('hex').slice(0, 12)}`);
  const program = join(folder, 'llama-server');
  if (existsSync(program)) return program;
  const building = `${folder}.build`;
  const generator = findProgram(['ninja']) ? ['-G', 'Ninja'] : [];
  await execute('cmake', ['-S', project, '-B', building, ...generator, `-DLLAMA_SOURCE=${source}`, `-DLLAMA_LIBRARIES=${libraries}`]);
  await execute('cmake', ['--build', building, '--parallel', '2'], { maxBuffer: 64 << 20 });
  const done = `${folder}.new`;
  rmSync(done, { recursive: true, force: true });
  mkdirSync(done, { recursive: true });
  renameSync(join(building, 'llama-server'), join(done, 'llama-server'));
  for (const name of readdirSync(libraries)) symlinkSync(join(libraries, name), join(done, name)); // it looks for libraries and backends beside itself
  renameSync(done, folder);
  rmSync(building, { recursive: true, force: true });
  return program;
}

export interface RunningServer {
  url: string;
  /** what it has written so far */
  log(): string;
  /** Ctrl+C, or SIGKILL if it has not ended after 20 s; its exit code (null: killed) */
  stop(): Promise<number | null>;
}

/** Resolves when the model is loaded; rejects with the log when the server ends before. */
export async function startLlamaServer(program: string, flags: string[], environment: Record<string, string> = {}): Promise<RunningServer> {
  const port = await freePort();
  const child = spawn(program, [...flags, '--host', '127.0.0.1', '--port', String(port)], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const url = `http://127.0.0.1:${port}`;
  while (!(await isHealthy(url))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`llama-server ended (${child.exitCode ?? child.signalCode}):\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, log: () => text, stop: () => stop(child, ended) };
}

async function stop(child: ChildProcess, ended: Promise<number | null>): Promise<number | null> {
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const code = await ended;
  clearTimeout(timer);
  return code;
}

async function isHealthy(url: string): Promise<boolean> {
  return await fetch(`${url}/health`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
