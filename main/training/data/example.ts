// What every row becomes: one of three kinds of examples.
import { hash } from 'node:crypto';
import { z } from 'zod';
import { EngineMessage, ToolDefinition } from '../../engine/protocol.ts';

export const Conversation = z.strictObject({
  kind: z.literal('conversation'),
  /** ends with a reply of the assistant */
  messages: z.array(EngineMessage).min(2),
  tools: z.array(ToolDefinition).optional(),
  /** indices of replies that are not to be learnt (`"weight": 0`) */
  ignored: z.array(z.number().int()).optional(),
});
export type Conversation = z.infer<typeof Conversation>;

export const TextExample = z.strictObject({ kind: z.literal('text'), text: z.string().min(1) });
export type TextExample = z.infer<typeof TextExample>;

/** Two ways to go on after `prompt`. */
export const Preference = z.strictObject({
  kind: z.literal('preference'),
  prompt: z.array(EngineMessage).min(1),
  chosen: z.array(EngineMessage).min(1),
  rejected: z.array(EngineMessage).min(1),
  tools: z.array(ToolDefinition).optional(),
});
export type Preference = z.infer<typeof Preference>;

export const Example = z.discriminatedUnion('kind', [Conversation, TextExample, Preference]);
export type Example = z.infer<typeof Example>;

/** SHA-256 of what is learnt, hexadecimal: equal for equal examples, wherever they are and whatever else their rows hold. */
export function fingerprint(example: Example): string {
  return hash('sha256', JSON.stringify(example), 'hex');
}

/** Half a surrogate pair, which JSON can hold and UTF-8 cannot. */
export function hasBrokenText(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  return value !== null && typeof value === 'object' && Object.entries(value).some(([key, field]) => !key.isWellFormed() || hasBrokenText(field));
}

/** The messages' indices that are learnt from a conversation. */
export function repliesOf({ messages, ignored = [] }: Pick<Conversation, 'messages' | 'ignored'>): number[] {
  return messages.flatMap(({ role }, index) => (role === 'assistant' && !ignored.includes(index) ? [index] : []));
}
