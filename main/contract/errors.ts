// The one error catalogue: code, HTTP status. Messages carry the numbers and are written where the numbers are known.
// `native/rpc/errors.h` lists the codes that the engine raises; test/unit/errors.test.ts keeps the two equal.
import { z } from 'zod';

export const errorCatalogue = {
  // bad input
  'request.invalid': 400,
  'request.unknown-method': 404,
  'prompt.empty': 400,
  'prompt.too-long': 400,
  'sampling.invalid': 400,
  'grammar.invalid': 400,
  'template.failed': 400,
  'file.not-found': 404,
  'file.unreadable': 400,
  'file.unwritable': 400,
  'file.not-gguf': 400,
  'file.truncated': 400,
  'file.corrupt': 400,
  'file.version': 400,
  'file.split-incomplete': 400,
  'model.unsupported': 400,
  'model.not-found': 404,
  'model.not-loaded': 404,
  'model.busy': 409,
  'model.load-failed': 500,
  'model.does-not-fit': 507,
  'adapter.not-found': 404,
  'device.not-found': 404,
  'device.unreachable': 502,
  'device.lost': 502,
  'context.full': 400,
  'decode.failed': 500,
  'generation.duplicate': 409,
  // library and hub
  'hub.unreachable': 502,
  'hub.refused': 502,
  'hub.not-found': 404,
  'download.corrupt': 502,
  'download.not-found': 404,
  'disk.full': 507,
  // chats and presets
  'chat.not-found': 404,
  'chat.busy': 409,
  'message.not-found': 404,
  'import.invalid': 400,
  'preset.not-found': 404,
  // datasets
  'dataset.format-unsure': 400,
  'dataset.no-good-row': 400,
  // training runs
  'training.not-found': 404,
  'training.busy': 409,
  // the database
  'storage.locked': 409,
  'storage.corrupt': 500,
  'storage.newer': 500,
  'storage.failed': 500,
  // engine process
  'engine.starting': 503,
  'engine.died': 503,
  'engine.crash-loop': 503,
  'engine.unresponsive': 503,
  'engine.version': 500,
  // doors
  'auth.missing': 401,
  'auth.forbidden': 403,
  'server.busy': 429,
  cancelled: 499,
  internal: 500,
} as const satisfies Record<string, number>;

export type ErrorCode = keyof typeof errorCatalogue;
export const ErrorCode = z.enum(Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]]); // Object.keys of a literal: its keys

export const ErrorBody = z.object({ code: ErrorCode, message: z.string(), details: z.record(z.string(), z.unknown()).optional() });
export type ErrorBody = z.infer<typeof ErrorBody>;

/** An expected failure. Bugs stay plain `Error`s and become `internal` at the border; cancellation is the code `cancelled`. */
export class MoebiusError extends Error {
  override readonly name = 'MoebiusError';
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: { details?: Record<string, unknown>; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get status(): number {
    return errorCatalogue[this.code];
  }
}

/** What crosses a process border for any thrown value. */
export function toErrorBody(error: unknown): ErrorBody {
  if (error instanceof MoebiusError) return { code: error.code, message: error.message, details: error.details };
  return { code: 'internal', message: `Internal error: ${error instanceof Error ? error.message : String(error)}` };
}
