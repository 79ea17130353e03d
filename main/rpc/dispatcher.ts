// Parses a call with the contract and hands it to the service that implements it. Knows no transport.
import type { z } from 'zod';
import { type Handlers, type Method, MoebiusError, methods } from '../contract/index.ts';

const LONGEST_ISSUE_LIST = 5;

/** `chat.parameters.sampling.topK: Too big: ...` for the first few problems. */
export function describeIssues(error: z.ZodError): string {
  const issues = error.issues
    .slice(0, LONGEST_ISSUE_LIST)
    .map((issue) => (issue.path.length > 0 ? `${issue.path.join('.')}: ${issue.message}` : issue.message));
  const rest = error.issues.length - issues.length;
  return issues.join('; ') + (rest > 0 ? `; and ${rest} more` : '');
}

function isMethod(name: string): name is Method {
  return Object.hasOwn(methods, name);
}

export class Dispatcher {
  readonly #handlers: Handlers;

  constructor(handlers: Handlers) {
    this.#handlers = handlers;
  }

  /** Rejects with MoebiusError `request.unknown-method` or `request.invalid`, or whatever the service throws. */
  async call(method: string, parameters: unknown): Promise<unknown> {
    if (!isMethod(method)) throw new MoebiusError('request.unknown-method', `There is no method "${method}".`, { details: { method } });
    const parsed = methods[method].parameters.safeParse(parameters ?? {});
    if (!parsed.success) {
      throw new MoebiusError('request.invalid', `${method}: ${describeIssues(parsed.error)}`, {
        details: { method, issues: parsed.error.issues.slice(0, LONGEST_ISSUE_LIST) },
      });
    }
    // The handler of a method takes exactly what its schema gives; TypeScript cannot follow that through the union of all methods.
    const handler = this.#handlers[method] as (parameters: unknown) => unknown;
    return handler(parsed.data);
  }
}
