// What callers are told when the engine refuses a call or ends during it.
import { ConnectionError, ErrorCodes, ResponseError } from 'vscode-jsonrpc/node';
import { ErrorCode, MoebiusError } from '../contract/errors.ts';

/** JSON-RPC code of a cancelled request. */
const REQUEST_CANCELLED = -32800;

/** How a life of the engine ended. */
export interface EngineEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** why it could not be started at all */
  spawnError: string | null;
  /** why this program ended it; null when it ended by itself or by someone else */
  cause: string | null;
  /** of its log, oldest first */
  lastLines: string[];
}

/** "was killed by SIGSEGV", "ended with exit code 3", ... */
export function describeEnd(end: EngineEnd): string {
  if (end.spawnError !== null) return `could not be started (${end.spawnError})`;
  if (end.cause !== null) return `was stopped because ${end.cause}`;
  return end.signal !== null ? `was killed by ${end.signal}` : `ended with exit code ${end.code}`;
}

function lastLine(end: EngineEnd): string {
  const line = end.lastLines.at(-1);
  return line === undefined ? '' : ` Its last log line: "${line.slice(0, 300)}".`;
}

/** `engine.died`; `method`: the call it broke off, null for the engine's own status. */
export function deathError(end: EngineEnd, method: string | null): MoebiusError {
  const during = method === null ? '' : ` during ${method}`;
  const advice = end.spawnError !== null ? 'Check the installation.' : method === null ? 'It is started again.' : 'Try again when the engine is ready.';
  return new MoebiusError('engine.died', `The engine process ${describeEnd(end)}${during}.${lastLine(end)} ${advice}`, { details: endDetails(end) });
}

export function crashLoopError(end: EngineEnd, deaths: number, windowMilliseconds: number): MoebiusError {
  const minutes = Math.round(windowMilliseconds / 6000) / 10;
  const message =
    `The engine process ended ${deaths} times within ${minutes} minutes without having generated anything; the last time it ${describeEnd(end)}.` +
    `${lastLine(end)} It is not started again by itself. Restart it by hand; if it ends while a model loads, load another model or use fewer GPU layers.`;
  return new MoebiusError('engine.crash-loop', message, { details: { ...endDetails(end), deaths } });
}

function endDetails(end: EngineEnd): Record<string, unknown> {
  return { exitCode: end.code, signal: end.signal, cause: end.cause, log: end.lastLines.slice(-5) };
}

/** The engine's pipes are closed: the process is ending, or has ended. */
export function isTransportError(error: unknown): boolean {
  if (error instanceof ResponseError) return error.code === ErrorCodes.MessageWriteError || error.code === ErrorCodes.PendingResponseRejected;
  return error instanceof ConnectionError;
}

/** The engine's own error, with the code of the catalogue that it carries. */
export function toMoebiusError(error: unknown, method: string): MoebiusError {
  if (!(error instanceof ResponseError)) return new MoebiusError('internal', error instanceof Error ? error.message : String(error), { cause: error });
  const data = error.data as { code?: unknown; details?: unknown } | null | undefined; // every field is checked below
  const code = ErrorCode.safeParse(data?.code);
  const details = isRecord(data?.details) ? data.details : {};
  if (code.success) return new MoebiusError(code.data, error.message, { details, cause: error });
  if (error.code === REQUEST_CANCELLED) return new MoebiusError('cancelled', error.message, { cause: error });
  return new MoebiusError('internal', `The engine refused ${method}: ${error.message} (JSON-RPC ${error.code})`, { details, cause: error });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
