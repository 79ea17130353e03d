// Starts and ends one `moebius serve` for a test.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ServeOptions {
  /** more flags of `moebius serve`, e.g. `['--api', '--api-port', '0']` */
  flags?: string[];
  environment?: Record<string, string>;
  /** default: a new temporary folder, deleted at the end; a given one is kept */
  dataFolder?: string;
}

export interface Served {
  /** address of the UI with a launch token, which works once: a second page takes `nextUrl()` */
  readonly url: string;
  /** base address of the OpenAI-compatible endpoint; null without `--api` */
  readonly apiUrl: string | null;
  readonly dataFolder: string;
  readonly process: ChildProcess;
  /** everything it has written to stderr so far */
  logs(): string;
  /** the newest address that no page has used: one is announced whenever the last was used up */
  nextUrl(): Promise<string>;
  /** Ctrl+C, or SIGKILL if it has not ended after 10 s; resolves with the exit code (null: killed). Idempotent. */
  stop(): Promise<number | null>;
}

const START_SECONDS = 60;
const STOP_SECONDS = 10;
const program = join(import.meta.dirname, '../../main/cli/moebius.mjs');

interface Announcement {
  what: 'ui' | 'api';
  url?: string;
}

/** Resolves when the UI's address (and the endpoint's, with `--api`) is announced; rejects with the log if it ends before or takes more than a minute. */
export async function startServe(options: ServeOptions = {}): Promise<Served> {
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), 'moebius-e2e-'));
  const flags = ['serve', '--json', '--data', dataFolder, '--port', '0', ...(options.flags ?? [])];
  const child = spawn(process.execPath, [program, ...flags], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.environment } });
  const output = new Output(child);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let stopped: Promise<number | null> | undefined;
  const stop = () => {
    stopped ??= end(child, ended).finally(() => {
      if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 });
    });
    return stopped;
  };
  try {
    const url = await output.next('ui', START_SECONDS);
    const apiUrl = flags.includes('--api') ? await output.next('api', START_SECONDS) : null;
    return { url, apiUrl, dataFolder, process: child, logs: () => output.log, nextUrl: () => output.next('ui', STOP_SECONDS), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads the announcements, one JSON object a line. */
class Output {
  log = '';
  #pending = '';
  readonly #announced: Announcement[] = [];
  readonly #waiting = new Set<() => void>();
  #ended = false;

  constructor(child: ChildProcess) {
    child.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
    child.stdout?.on('data', (chunk: Buffer) => this.#read(chunk.toString()));
    child.once('exit', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The next address of this kind that was not given out yet. */
  async next(what: Announcement['what'], seconds: number): Promise<string> {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const index = this.#announced.findIndex((announcement) => announcement.what === what && announcement.url);
      const url = this.#announced.splice(index, index < 0 ? 0 : 1)[0]?.url;
      if (url) return url;
      if (this.#ended) throw new Error(`moebius serve ended before it announced its ${what} address:\n${this.log}`);
      if (Date.now() >= deadline) throw new Error(`moebius serve announced no ${what} address within ${seconds} s:\n${this.log}`);
      await this.#wait(deadline - Date.now());
    }
  }

  #read(text: string): void {
    const lines = (this.#pending + text).split('\n');
    this.#pending = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('{')) this.#announced.push(JSON.parse(line));
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#waiting.add(done);
    });
  }
}

async function end(child: ChildProcess, ended: Promise<number | null>): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_SECONDS * 1000);
  const code = child.exitCode !== null || child.signalCode !== null ? child.exitCode : await ended;
  clearTimeout(timer);
  return code;
}
