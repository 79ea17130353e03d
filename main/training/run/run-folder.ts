// What a run leaves on the disk: a folder with job.json, data/, checkpoints/, metrics.jsonl, samples.jsonl.
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MoebiusError } from '../../contract/errors.ts';

export const runFiles = (folder: string) => ({
  job: join(folder, 'job.json'),
  data: join(folder, 'data'),
  checkpoints: join(folder, 'checkpoints'),
  metrics: join(folder, 'metrics.jsonl'),
  samples: join(folder, 'samples.jsonl'),
  adapters: join(folder, 'adapters'),
  /** the model of a checkpoint that is being compared with its base */
  merged: join(folder, 'merged'),
  evaluations: join(folder, 'evaluations.json'),
  /** held by the process that trains */
  lock: join(folder, 'run.lock'),
  /** what is there only while something is at work, or was when it was killed */
  scratch: join(folder, 'scratch'),
});

/** A file that grows by a line of JSON at a time. */
export class JsonLines {
  readonly #stream: WriteStream;
  #failure: MoebiusError | null = null;

  private constructor(stream: WriteStream, path: string) {
    this.#stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      const code = error.code === 'ENOSPC' ? 'disk.full' : 'file.unwritable';
      this.#failure ??= new MoebiusError(code, `${path} cannot be written: ${error.message}.`, { details: { path }, cause: error });
    });
  }

  /** Makes the folder, too. Throws file.unwritable. */
  static async append(folder: string, path: string): Promise<JsonLines> {
    await mkdir(folder, { recursive: true });
    const lines = new JsonLines(createWriteStream(path, { flags: 'a' }), path);
    await once(lines.#stream, 'open').catch(() => undefined); // kept by its listener
    if (lines.#failure) throw lines.#failure;
    if (!(await endsWithLine(path))) lines.#stream.write('\n'); // a killed process left half a line
    return lines;
  }

  /** Resolves when the system has it, so that it outlives this process. Throws file.unwritable, disk.full. */
  async write(value: object): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.write(`${JSON.stringify(value)}\n`, () => resolve()));
    if (this.#failure) throw this.#failure;
  }

  /** Throws when not all of it could be written. */
  async close(): Promise<void> {
    this.#stream.end();
    if (!this.#stream.closed) await once(this.#stream, 'close').catch(() => undefined); // as above
    if (this.#failure) throw this.#failure;
  }
}

async function endsWithLine(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    return size === 0 || (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] === 0x0a;
  } finally {
    await file.close();
  }
}

/** Its whole lines; of a file that a killed process left, the last may be cut, and is left out. */
export async function readLines(path: string): Promise<unknown[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [parsed(line)]))
    .filter((value) => value !== undefined);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
