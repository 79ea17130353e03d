// A row that is left out, and how what was found in it is named.
import type { BadRowReason } from '../../contract/datasets.ts';

/** A row that is left out, and why; `detail` says what was found. */
export class BadRow extends Error {
  override readonly name = 'BadRow';
  readonly reason: BadRowReason;

  constructor(reason: BadRowReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}

/** How a value is named in a message: its type, and a little of it. */
export function found(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return `an object with ${keysText(value)}`;
  return typeof value === 'string' ? `the text ${quote(value)}` : `the ${typeof value} ${String(value)}`;
}

/** The names of an object's fields, for messages. */
export function keysText(value: object): string {
  const keys = Object.keys(value);
  return keys.length === 0 ? 'no fields' : `${keys.slice(0, 8).join(', ')}${keys.length > 8 ? ', ...' : ''}`;
}

/** A text in quotes, cut after 40 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}
