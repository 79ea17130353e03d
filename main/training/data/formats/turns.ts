// From the messages of a row to a conversation that can be learnt: what is bad about their order, and what is mended and told.
import type { RowWarning } from '../../../contract/datasets.ts';
import type { EngineMessage, ToolDefinition } from '../../../engine/protocol.ts';
import { BadRow } from '../problem.ts';
import { type MessageKeys, type ReadMessage, readMessage } from './message.ts';
import { pairCalls } from './tools.ts';

export interface Turns {
  messages: EngineMessage[];
  /** indices of `messages` that are not to be learnt */
  ignored: number[];
  warnings: RowWarning[];
}

/** Throws BadRow. */
export function readMessages(list: readonly unknown[], keys: MessageKeys): ReadMessage[] {
  return list.map((value, index) => readMessage(value, keys, `message ${index + 1}`));
}

export const said = (role: EngineMessage['role'], content: string): ReadMessage => ({ message: { role, content }, ignored: false, warnings: [] });

/** Mends and checks the whole. The result ends with a reply. Throws BadRow. */
export function asTurns(read: readonly ReadMessage[], tools: ToolDefinition[] | undefined): Turns {
  const warnings = new Set<RowWarning>(read.flatMap((message) => message.warnings));
  const kept = joinUsers(withoutEmptySystem(read, warnings), warnings);
  const last = kept.findLastIndex(({ message }) => message.role === 'assistant');
  if (last < 0) throw new BadRow('turns.no-reply', `it has ${kept.length} messages, none of them the assistant's`);
  if (last < kept.length - 1) warnings.add('turns.unanswered');
  const turns = kept.slice(0, last + 1).map((entry) => ({ ...entry, message: copy(entry.message) }));
  const messages = turns.map(({ message }) => message);
  checkOrder(messages, warnings);
  pairCalls(messages);
  if (messages.some(({ toolCalls = [] }) => toolCalls.some(({ name }) => !tools?.some((tool) => tool.name === name)))) warnings.add('tool-call.undefined-tool');
  return {
    messages,
    ignored: turns.flatMap(({ ignored, message }, index) => (ignored && message.role === 'assistant' ? [index] : [])),
    warnings: [...warnings],
  };
}

const copy = (message: EngineMessage): EngineMessage => ({
  ...message,
  ...(message.toolCalls && { toolCalls: message.toolCalls.map((call) => ({ ...call })) }),
});

function withoutEmptySystem(read: readonly ReadMessage[], warnings: Set<RowWarning>): ReadMessage[] {
  const kept = read.filter(({ message }) => message.role !== 'system' || message.content.trim() !== '');
  if (kept.length < read.length) warnings.add('content.empty-system');
  return kept;
}

/** As chat does it where a reply is missing. */
function joinUsers(read: ReadMessage[], warnings: Set<RowWarning>): ReadMessage[] {
  const joined: ReadMessage[] = [];
  for (const next of read) {
    const previous = joined.at(-1);
    if (previous?.message.role === 'user' && next.message.role === 'user') {
      warnings.add('turns.joined');
      joined[joined.length - 1] = said('user', `${previous.message.content}\n\n${next.message.content}`);
    } else joined.push(next);
  }
  return joined;
}

function checkOrder(messages: EngineMessage[], warnings: Set<RowWarning>): void {
  const first = messages.find(({ role }) => role !== 'system');
  if (first?.role === 'assistant') throw new BadRow('turns.reply-first', 'its first message besides the system prompt is a reply');
  messages.forEach(({ role }, index) => {
    const before = messages[index - 1]?.role;
    if (role === 'assistant' && before === 'assistant') warnings.add('turns.replies-in-a-row');
    if (role === 'system' && index > 0) warnings.add('turns.late-system');
  });
}
