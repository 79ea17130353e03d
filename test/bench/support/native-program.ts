// Programs of native/bench: they compare inside one process what no protocol shows.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nativeBuild } from '../../../main/setup/paths.mjs';

const execute = promisify(execFile);

/** Path of the program; builds it in the engine's build folder if that is needed. */
export async function buildNativeProgram(name: string, log: (text: string) => void): Promise<string> {
  log(`building ${name}`);
  await execute('cmake', ['--build', nativeBuild, '--target', name], { maxBuffer: 64 << 20 });
  return join(nativeBuild, name);
}
