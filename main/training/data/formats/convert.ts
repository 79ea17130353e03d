// One row of a format -> one example, or the reason why not.
import type { DatasetFormat, FieldMap, RowWarning } from '../../../contract/datasets.ts';
import type { EngineMessage, ToolDefinition } from '../../../engine/protocol.ts';
import { type Conversation, type Example, hasBrokenText } from '../example.ts';
import { BadRow, found, keysText } from '../problem.ts';
import { asObject, type MessageKeys, type ReadMessage } from './message.ts';
import { asTools, unpacked } from './tools.ts';
import { asTurns, readMessages, said, type Turns } from './turns.ts';

export interface Converted {
  example: Example;
  warnings: RowWarning[];
}

/** Throws BadRow. */
export function toExample(format: DatasetFormat, map: FieldMap, value: unknown): Converted {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new BadRow('row.not-object', `it is ${found(value)}`);
  const converted = converters[format](new Fields(asObject(value, 'the row'), map));
  if (hasBrokenText(converted.example)) throw new BadRow('content.unsupported', 'it has half of a surrogate pair, which is no character');
  return converted;
}

/** The fields of a row, by their names in the format. */
class Fields {
  readonly row: Record<string, unknown>;
  readonly #map: FieldMap;

  constructor(row: Record<string, unknown>, map: FieldMap) {
    this.row = row;
    this.#map = map;
  }

  column(field: string): string {
    return this.#map[field] ?? field;
  }

  get(field: string): unknown {
    return this.row[this.column(field)];
  }

  /** Null and nothing are missing. Throws BadRow. */
  needed(field: string): unknown {
    const value = this.get(field);
    if (value === undefined || value === null)
      throw new BadRow('field.missing', `${this.column(field)} is ${value === null ? 'null' : 'missing'}; there is ${keysText(this.row)}`);
    return value;
  }

  text(field: string): string {
    const value = this.needed(field);
    if (typeof value !== 'string') throw new BadRow('field.type', `${this.column(field)} is ${found(value)}, not a text`);
    if (value.trim() === '') throw new BadRow('content.empty', `${this.column(field)} is empty`);
    return value;
  }

  optionalText(field: string): string {
    const value = this.get(field) ?? '';
    if (typeof value !== 'string') throw new BadRow('field.type', `${this.column(field)} is ${found(value)}, not a text`);
    return value;
  }

  list(field: string): unknown[] {
    const value = unpacked(this.needed(field));
    if (!Array.isArray(value)) throw new BadRow('field.type', `${this.column(field)} is ${found(value)}, not a list of messages`);
    return value;
  }

  /** A list of messages; a text is one message of `role`. */
  messages(field: string, role: EngineMessage['role']): ReadMessage[] {
    const value = unpacked(this.needed(field));
    if (Array.isArray(value)) return readMessages(value, keysOf(value));
    return [said(role, this.text(field))];
  }

  system(): ReadMessage[] {
    const text = this.optionalText('system');
    return text.trim() === '' ? [] : [said('system', text)];
  }
}

/** role and content, or from and value: whichever the messages have. */
function keysOf(list: readonly unknown[]): MessageKeys {
  const first = list[0];
  const isShareGpt = first !== null && typeof first === 'object' && !('role' in first) && 'from' in first;
  return isShareGpt ? { role: 'from', content: 'value' } : { role: 'role', content: 'content' };
}

const converters: Record<DatasetFormat, (fields: Fields) => Converted> = {
  alpaca: (fields) => {
    const input = fields.optionalText('input');
    const instruction = fields.text('instruction');
    // as Stanford's Alpaca does without its own prompt around it: the chat template takes that place
    const question = input.trim() === '' ? instruction : `${instruction}\n\n${input}`;
    return conversation(asTurns([...fields.system(), said('user', question), said('assistant', fields.text('output'))], undefined), undefined);
  },
  sharegpt: (fields) => fromList(fields, 'conversations', { role: 'from', content: 'value' }),
  messages: (fields) => fromList(fields, 'messages', { role: 'role', content: 'content' }),
  'prompt-completion': (fields) => {
    const turns = [...fields.system(), ...fields.messages('prompt', 'user'), ...fields.messages('completion', 'assistant')];
    return conversation(asTurns(turns, undefined), undefined);
  },
  text: (fields) => ({ example: { kind: 'text', text: fields.text('text') }, warnings: [] }),
  preference,
};

/** `keys`: the format's own; a map wins, then what the messages have. */
function fromList(fields: Fields, field: string, keys: MessageKeys): Converted {
  const list = fields.list(field);
  const given = { role: fields.column(keys.role), content: fields.column(keys.content) };
  const isGiven = given.role !== keys.role || given.content !== keys.content;
  const tools = asTools(fields.get('tools'));
  return conversation(asTurns([...fields.system(), ...readMessages(list, isGiven ? given : keysOf(list))], tools), tools);
}

function conversation({ messages, ignored, warnings }: Turns, tools: ToolDefinition[] | undefined): Converted {
  const example: Conversation = { kind: 'conversation', messages, ...(tools && { tools }), ...(ignored.length > 0 && { ignored }) };
  return { example, warnings };
}

/** Without a prompt, or with a text for one, the two lists of messages begin with the prompt (as in UltraFeedback). */
function preference(fields: Fields): Converted {
  const tools = asTools(fields.get('tools'));
  const chosen = fields.messages('chosen', 'assistant');
  const rejected = fields.messages('rejected', 'assistant');
  const shared = sharedLength(chosen, rejected);
  if (shared === chosen.length && shared === rejected.length) throw sameReplies(fields);
  const given = shared === 0 ? fields.messages('prompt', 'user') : [];
  const opening = [...fields.system(), ...given];
  const goesOn = (reply: ReadMessage[]) => asTurns([...opening, ...reply], tools);
  const [better, worse] = [goesOn(chosen), goesOn(rejected)];
  const length = sharedLength(asRead(better), asRead(worse));
  if (length === better.messages.length || length === worse.messages.length) throw sameReplies(fields);
  let promptLength = length;
  while (promptLength > 0 && [better, worse].some(({ messages }) => messages[promptLength]?.role !== 'assistant')) promptLength -= 1;
  if (promptLength === 0) throw new BadRow('field.missing', 'there is nothing that both replies answer');
  const example: Example = {
    kind: 'preference',
    prompt: better.messages.slice(0, promptLength),
    chosen: better.messages.slice(promptLength),
    rejected: worse.messages.slice(promptLength),
    ...(tools && { tools }),
  };
  return { example, warnings: [...new Set([...better.warnings, ...worse.warnings])] };
}

const sameReplies = (fields: Fields) => new BadRow('preference.same', `${fields.column('chosen')} and ${fields.column('rejected')} say the same`);
const asRead = ({ messages }: Turns): ReadMessage[] => messages.map((message) => ({ message, ignored: false, warnings: [] }));

/** How many messages two lists have in common at the beginning. */
function sharedLength(a: readonly ReadMessage[], b: readonly ReadMessage[]): number {
  const differs = a.findIndex(({ message }, index) => JSON.stringify(message) !== JSON.stringify(b[index]?.message));
  return differs < 0 ? a.length : differs;
}
