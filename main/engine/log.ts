// The engine's log: one JSON object a line on stderr, {"level":"info","text":"..."}; anything else there comes from a library and is a warning.

/** What this program needs of a logger; pino's has it. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const KEPT_LINES = 50;
const MAXIMUM_LINE = 8192;

/** Splits stderr into lines, passes them to the logger and keeps the last 50 for crash messages. */
export class EngineLog {
  readonly #logger: Logger;
  readonly #lines: string[] = [];
  #partial = '';

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** The last lines, oldest first. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  append(chunk: string): void {
    const parts = (this.#partial + chunk).split('\n');
    this.#partial = (parts.pop() ?? '').slice(-MAXIMUM_LINE);
    for (const line of parts) this.#line(line.slice(0, MAXIMUM_LINE).trimEnd());
  }

  /** The stream has ended: what has no newline is a line too. */
  end(): void {
    if (this.#partial !== '') this.append('\n');
  }

  #line(line: string): void {
    if (line === '') return;
    const { level, text } = parseLine(line);
    this.#lines.push(text);
    if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    this.#logger[level](text);
  }
}

function parseLine(line: string): { level: keyof Logger; text: string } {
  if (line.startsWith('{')) {
    try {
      const { level, text } = JSON.parse(line) as { level?: unknown; text?: unknown }; // both are checked below
      if (typeof text === 'string') return { level: level === 'debug' || level === 'info' || level === 'error' ? level : 'warn', text };
    } catch {
      // not ours: reported as it is
    }
  }
  return { level: 'warn', text: line };
}
