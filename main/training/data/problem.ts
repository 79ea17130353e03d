// What can be wrong with a row, or strange about it. Every reason has a code, which is counted, and a text for people.

/** Rows with one of these are left out, counted and listed. */
export const BAD_ROW_REASONS = {
  'row.not-json': 'not valid JSON',
  'row.too-long': 'longer than a row may be',
  'row.not-utf8': 'not UTF-8',
  'row.not-object': 'no object with named fields',
  'row.columns': 'not as many columns as the header',
  'row.not-csv': 'quotes that do not fit CSV',
  'row.unreadable': 'cannot be read',
  'field.missing': 'a field that the format needs is missing',
  'field.type': 'a field has a type that the format does not have',
  'content.empty': 'a message, a prompt or a text is empty',
  'content.unsupported': 'content that a text model cannot learn from',
  'role.unknown': 'a role that is none of system, user, assistant and tool',
  'turns.no-reply': 'no reply of the assistant',
  'turns.reply-first': 'begins with a reply to nobody',
  'tools.invalid': 'a tool definition is broken',
  'tool-call.invalid': 'a tool call is broken',
  'tool-call.unpaired': 'a tool call without its result, or a result without its call',
  'preference.same': 'the chosen and the rejected reply are the same',
  'template.failed': "the model's chat template refuses the conversation, hides a tool call, or does not show where replies are",
  'tokens.failed': 'the model cannot tokenise it',
} as const;
export type BadRowReason = keyof typeof BAD_ROW_REASONS;

/** Rows with one of these are used; what is done about it is said. */
export const WARNINGS = {
  'turns.joined': 'user messages that follow each other are joined by an empty line, as in chat',
  'turns.unanswered': 'messages after the last reply are left out',
  'turns.replies-in-a-row': 'replies follow each other',
  'turns.late-system': 'a system message that is not the first one; some chat templates refuse it',
  'content.empty-system': 'an empty system message is left out, as in chat',
  'tool-call.object-arguments': 'arguments of a tool call are an object instead of a text; taken as its JSON',
  'tool-call.no-id': 'a tool call has no id; paired with its result by order',
  'tool-call.undefined-tool': 'a tool is called that is not among the tools',
  'reply.unended': 'the chat template puts no end-of-generation token after replies: the model will not learn where to stop',
  'reply.crossing': 'a token begins in the prompt and ends in the reply; in chat the reply begins with other tokens',
  'tools.hidden': 'the chat template does not show the tools, or earlier calls of them, to the model',
  'tokens.over-context': 'more tokens than the context',
} as const;
export type Warning = keyof typeof WARNINGS;

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
