// Tools and calls of them, as OpenAI writes them and as data sets do.
import type { RowWarning } from '../../../contract/datasets.ts';
import type { EngineMessage, ToolCall, ToolDefinition } from '../../../engine/protocol.ts';
import { BadRow, found, quote } from '../problem.ts';

export interface ReadCall {
  calls: ToolCall[];
  warnings: RowWarning[];
}

const isObject = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object' && !Array.isArray(value);

/** JSON in a text, as CSV and many data sets have it; everything else as it is. */
export function unpacked(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** `tool_calls` of a message; nothing and null are no calls. Throws BadRow. */
export function asToolCalls(value: unknown, where: string): ReadCall {
  if (value === undefined || value === null) return { calls: [], warnings: [] };
  if (!Array.isArray(value)) throw new BadRow('tool-call.invalid', `the tool_calls of ${where} are ${found(value)}, not a list`);
  const warnings: RowWarning[] = [];
  const calls = value.map((entry) => {
    const call = unpacked(entry);
    const body = isObject(call) && isObject(call.function) ? call.function : call;
    if (!isObject(call) || !isObject(body)) throw new BadRow('tool-call.invalid', `a tool call of ${where} is ${found(call)}`);
    if (typeof body.name !== 'string' || body.name === '') throw new BadRow('tool-call.invalid', `a tool call of ${where} has ${found(body.name)} as name`);
    const id = typeof call.id === 'string' ? call.id : '';
    if (id === '') warnings.push('tool-call.no-id');
    return { id, name: body.name, arguments: argumentsText(body.arguments, where, warnings) };
  });
  return { calls, warnings };
}

function argumentsText(value: unknown, where: string, warnings: RowWarning[]): string {
  if (isObject(value)) {
    warnings.push('tool-call.object-arguments');
    return JSON.stringify(value);
  }
  if (typeof value !== 'string') throw new BadRow('tool-call.invalid', `the arguments of a tool call of ${where} are ${found(value)}, not a text of JSON`);
  if (!isObject(unpacked(value))) throw new BadRow('tool-call.invalid', `the arguments of a tool call of ${where} are no JSON object: ${quote(value)}`);
  return value;
}

/** `tools` of a row, a list or its JSON. Throws BadRow. */
export function asTools(value: unknown): ToolDefinition[] | undefined {
  const list = unpacked(value);
  if (list === undefined || list === null || list === '') return undefined;
  if (!Array.isArray(list)) throw new BadRow('tools.invalid', `tools are ${found(list)}, not a list`);
  if (list.length === 0) return undefined;
  return list.map((entry, index) => asTool(unpacked(entry), `tool ${index + 1}`));
}

function asTool(value: unknown, where: string): ToolDefinition {
  const body = isObject(value) && isObject(value.function) ? value.function : value;
  if (!isObject(body)) throw new BadRow('tools.invalid', `${where} is ${found(body)}`);
  const { name, description = '', parameters = {} } = body;
  if (typeof name !== 'string' || name === '') throw new BadRow('tools.invalid', `${where} has ${found(name)} as name`);
  if (typeof description !== 'string') throw new BadRow('tools.invalid', `the description of ${where} is ${found(description)}`);
  const schema = unpacked(parameters) ?? {};
  if (!isObject(schema)) throw new BadRow('tools.invalid', `the parameters of ${where} are ${found(schema)}, not a JSON schema`);
  return { name, description, parameters: schema };
}

/**
 * Pairs calls with the results that follow them: by id, or by order where the call has none (it gets one: call_1, call_2 ...). The last message's calls
 * may be open, since to call is what is learnt there. Throws BadRow (tool-call.unpaired). Changes the messages.
 */
export function pairCalls(messages: EngineMessage[]): void {
  let open: ToolCall[] = [];
  let count = 0;
  for (const [index, message] of messages.entries()) {
    if (message.role === 'tool') open = withoutCall(open, message, index);
    else {
      const [unanswered] = open;
      if (unanswered) throw new BadRow('tool-call.unpaired', `the call of ${quote(unanswered.name)} has no result before message ${index + 1}`);
      for (const call of message.toolCalls ?? []) {
        count += 1;
        if (call.id === '') call.id = `call_${count}`;
      }
      open = message.toolCalls ?? [];
    }
  }
}

function withoutCall(open: ToolCall[], message: EngineMessage, index: number): ToolCall[] {
  const call = message.toolCallId === undefined ? open[0] : open.find(({ id }) => id === message.toolCallId);
  if (call === undefined) {
    const which = message.toolCallId === undefined ? '' : ` with the id ${quote(message.toolCallId)}`;
    throw new BadRow('tool-call.unpaired', `message ${index + 1} is the result of a call${which} that is not there`);
  }
  message.toolCallId = call.id;
  return open.filter((other) => other !== call);
}
