import { MoebiusError } from '../contract/errors.ts';
import { SqlError, type WireError } from './errors.ts';

/** The error of the database thread as this side throws it. */
export function fromWireError(error: WireError): Error {
  if (error.kind === 'storage') return new MoebiusError(error.body.code, error.body.message, { details: error.body.details });
  if (error.kind === 'sql') return new SqlError(error.code, error.message);
  const bug = new Error(error.message);
  bug.stack = error.stack;
  return bug;
}
