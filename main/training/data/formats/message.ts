// One message of a row, in any of the ways they are written, as the engine takes it.
import type { RowWarning } from '../../../contract/datasets.ts';
import type { EngineMessage } from '../../../engine/protocol.ts';
import { BadRow, found, keysText, quote } from '../problem.ts';
import { asToolCalls, type ReadCall } from './tools.ts';

const ROLES: Record<string, EngineMessage['role']> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  tool: 'tool',
  observation: 'tool',
  function_response: 'tool',
};
/** ShareGPT's: an assistant's message that is the JSON of a call */
const CALL_ROLE = 'function_call';

export interface MessageKeys {
  role: string;
  content: string;
}

export interface ReadMessage {
  message: EngineMessage;
  /** `"weight": 0` */
  ignored: boolean;
  warnings: RowWarning[];
}

/** `where`: how messages for people name it, as in `message 2`. Throws BadRow. */
export function readMessage(value: unknown, keys: MessageKeys, where: string): ReadMessage {
  const source = asObject(value, where);
  const roleName = source[keys.role];
  if (typeof roleName !== 'string') throw new BadRow('role.unknown', `${where} has ${found(roleName)} as ${keys.role}; it has ${keysText(source)}`);
  const name = roleName.trim().toLowerCase();
  if (name === CALL_ROLE) return callMessage(source[keys.content], where);
  const role = ROLES[name];
  if (role === undefined) throw new BadRow('role.unknown', `${where} has the role ${quote(roleName)}`);
  if (source.function_call !== undefined && source.function_call !== null) {
    throw new BadRow('tool-call.invalid', `${where} has a function_call, which OpenAI has replaced by tool_calls; write it as tool_calls`);
  }
  const calls = role === 'assistant' ? asToolCalls(source.tool_calls, where) : { calls: [], warnings: [] };
  const content = contentText(source[keys.content], where, calls.calls.length > 0);
  if (content.trim() === '' && calls.calls.length === 0 && role !== 'system' && role !== 'tool') {
    throw new BadRow('content.empty', `${where}, of the ${role}, is empty`);
  }
  return { message: engineMessage(role, content, source, calls), ignored: source.weight === 0, warnings: calls.warnings };
}

function engineMessage(role: EngineMessage['role'], content: string, source: Record<string, unknown>, { calls }: ReadCall): EngineMessage {
  const text = (key: string) => (typeof source[key] === 'string' && source[key] !== '' ? source[key] : undefined);
  const reasoning = role === 'assistant' ? (text('reasoning_content') ?? text('reasoning')) : undefined;
  const callId = role === 'tool' ? text('tool_call_id') : undefined;
  const name = role === 'tool' ? text('name') : undefined;
  return {
    role,
    content,
    ...(reasoning !== undefined && { reasoningContent: reasoning }),
    ...(calls.length > 0 && { toolCalls: calls }),
    ...(callId !== undefined && { toolCallId: callId }),
    ...(name !== undefined && { name }),
  };
}

function callMessage(value: unknown, where: string): ReadMessage {
  const { calls, warnings } = asToolCalls([value], where);
  return { message: { role: 'assistant', content: '', toolCalls: calls }, ignored: false, warnings };
}

/** A text, or a list of parts that are texts. */
function contentText(value: unknown, where: string, mayBeMissing: boolean): string {
  if (typeof value === 'string') return value;
  if ((value === null || value === undefined) && mayBeMissing) return '';
  if (value === null || value === undefined) throw new BadRow('content.empty', `${where} has no content`);
  if (Array.isArray(value)) return value.map((part) => partText(part, where)).join('');
  throw new BadRow('field.type', `the content of ${where} is ${found(value)}, not a text`);
}

function partText(part: unknown, where: string): string {
  if (typeof part === 'string') return part;
  const { type, text } = asObject(part, `a part of ${where}`);
  if (typeof text === 'string' && (type === 'text' || type === undefined)) return text;
  throw new BadRow('content.unsupported', `${where} has a part of the type ${found(type)}; only texts can be learnt`);
}

/** Throws BadRow. */
export function asObject(value: unknown, where: string): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>; // an object that is no array
  throw new BadRow('field.type', `${where} is ${found(value)}, not an object`);
}
