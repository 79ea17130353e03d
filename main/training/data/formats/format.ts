// The formats, their fields, and which columns of a file the fields are.
import { z } from 'zod';

export const Format = z.enum(['alpaca', 'sharegpt', 'messages', 'prompt-completion', 'text', 'preference']);
export type Format = z.infer<typeof Format>;

/** Field of the format -> column of the file. Columns of the same name need no entry. */
export const FieldMap = z.record(z.string(), z.string());
export type FieldMap = z.infer<typeof FieldMap>;

/** `from`, `value`, `role` and `content` are fields of the messages in a list, the others of the row. */
export const formatFields: Record<Format, { needed: string[]; optional: string[] }> = {
  alpaca: { needed: ['instruction', 'output'], optional: ['input', 'system'] },
  sharegpt: { needed: ['conversations'], optional: ['from', 'value', 'system', 'tools'] },
  messages: { needed: ['messages'], optional: ['role', 'content', 'system', 'tools'] },
  'prompt-completion': { needed: ['prompt', 'completion'], optional: ['system'] },
  text: { needed: ['text'], optional: [] },
  preference: { needed: ['chosen', 'rejected'], optional: ['prompt', 'system', 'tools'] },
};

/** The formats that have all of these fields; used where only a map is given. */
export function formatsWithFields(fields: string[]): Format[] {
  return Format.options.filter((format) => {
    const { needed, optional } = formatFields[format];
    return fields.every((field) => needed.includes(field) || optional.includes(field)) && fields.some((field) => needed.includes(field));
  });
}
