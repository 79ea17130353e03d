// Which format the rows of a file have, by the names and types of their fields; and where that is unsure, what it might be.
import { type DatasetFormat, type FieldMap, formatFields } from '../../../contract/datasets.ts';
import type { Row } from '../readers/row.ts';
import { unpacked } from './tools.ts';

/** Rows that are looked at. */
export const DETECTION_ROWS = 200;
/** Share of them that have to fit; where some fit another format, more of them. */
const SURE = 0.5;
const SURE_AMONG_OTHERS = 0.8;

export interface Detected {
  format: DatasetFormat;
  map: FieldMap;
  /** share of the rows looked at that have the format's fields with their types, 0 to 1 */
  confidence: number;
  why: string;
}
/** Nothing fits well enough: what was seen, and formats with a map that would fit. */
export interface Unsure {
  format: null;
  fields: { name: string; types: string[]; rows: number }[];
  suggestions: { format: DatasetFormat; map: FieldMap }[];
}
export type Detection = Detected | Unsure;

type Candidate = Pick<Detected, 'format' | 'map'>;
type Values = Record<string, unknown>;
const isValues = (value: unknown): value is Values => value !== null && typeof value === 'object' && !Array.isArray(value);

/** Columns that hold a conversation, the most usual first. */
const CONVERSATION_COLUMNS = ['messages', 'conversations', 'conversation', 'dialog', 'dialogue', 'chat', 'turns'];

/** In the order in which they are looked for: rows of one may have the fields of a later one, too. */
const tests: ((row: Values) => Candidate | null)[] = [
  (row) => (isReply(row.chosen) && isReply(row.rejected) ? { format: 'preference', map: {} } : null),
  (row) => conversationIn(row, 'messages', ['role', 'content']),
  (row) => conversationIn(row, 'sharegpt', ['from', 'value']),
  (row) => (isText(row.instruction) && isText(row.output) ? { format: 'alpaca', map: {} } : null),
  (row) => (isReply(row.prompt) && isReply(row.completion) ? { format: 'prompt-completion', map: {} } : null),
  (row) => (isText(row.text) ? { format: 'text', map: {} } : null),
];

const isText = (value: unknown) => typeof value === 'string';
const isReply = (value: unknown) => isText(value) || isValues(firstOf(value));

function firstOf(value: unknown): unknown {
  const list = unpacked(value);
  return Array.isArray(list) ? list[0] : undefined;
}

function conversationIn(row: Values, format: 'messages' | 'sharegpt', keys: [string, string]): Candidate | null {
  const column = CONVERSATION_COLUMNS.find((name) => {
    const first = firstOf(row[name]);
    return isValues(first) && keys[0] in first;
  });
  if (column === undefined) return null;
  const field = format === 'messages' ? 'messages' : 'conversations';
  return { format, map: column === field ? {} : { [field]: column } };
}

/** `rows`: the first ones of the file. Rows that could not be read, or are no objects, do not count. */
export function detectFormat(rows: readonly Row[]): Detection {
  const values = rows.flatMap((row) => (row.problem === undefined && isValues(row.value) ? [row.value] : []));
  const counts = new Map<string, { candidate: Candidate; rows: number }>();
  for (const row of values) {
    const candidate = firstMatch(row);
    if (candidate === null) continue;
    const key = JSON.stringify(candidate);
    counts.set(key, { candidate, rows: (counts.get(key)?.rows ?? 0) + 1 });
  }
  const [best] = [...counts.values()].sort((a, b) => b.rows - a.rows);
  if (best === undefined || best.rows < values.length * (counts.size > 1 ? SURE_AMONG_OTHERS : SURE)) {
    return { format: null, fields: fieldsOf(values), suggestions: best ? [best.candidate] : suggestionsFor(values) };
  }
  return { ...best.candidate, confidence: best.rows / values.length, why: whyText(best.candidate, best.rows, values) };
}

function firstMatch(row: Values): Candidate | null {
  for (const test of tests) {
    const candidate = test(row);
    if (candidate !== null) return candidate;
  }
  return null;
}

function whyText({ format, map }: Candidate, rows: number, values: Values[]): string {
  const columns = formatFields[format].needed.map((field) => map[field] ?? field);
  const holds = format === 'messages' ? ', whose messages have role and content' : format === 'sharegpt' ? ', whose messages have from and value' : '';
  return `${rows} of the first ${values.length} rows have ${columns.join(' and ')}${holds}`;
}

function fieldsOf(values: Values[]): Unsure['fields'] {
  const fields = new Map<string, { types: Set<string>; rows: number }>();
  for (const row of values) {
    for (const [name, value] of Object.entries(row)) {
      const field = fields.get(name) ?? { types: new Set(), rows: 0 };
      field.types.add(value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value);
      field.rows += 1;
      fields.set(name, field);
    }
  }
  return [...fields].slice(0, 32).map(([name, { types, rows }]) => ({ name, types: [...types].sort(), rows }));
}

/** Other names that columns are known to have. They are only suggested: what is learnt from a wrong guess is wrong. */
const SYNONYMS: { format: DatasetFormat; fields: Record<string, string[]>; optional?: string }[] = [
  {
    format: 'alpaca',
    fields: { instruction: ['instruction'], input: ['input', 'context'], output: ['output', 'response', 'answer', 'completion'] },
    optional: 'input',
  },
  {
    format: 'prompt-completion',
    fields: {
      prompt: ['prompt', 'question', 'query', 'input', 'instruction', 'user', 'source'],
      completion: ['completion', 'response', 'answer', 'output', 'reply', 'assistant', 'target'],
    },
  },
  { format: 'text', fields: { text: ['text', 'content', 'document', 'body', 'article'] } },
];

function suggestionsFor(values: Values[]): Candidate[] {
  const columns = new Map(values.flatMap((row) => Object.entries(row).flatMap(([name, value]) => (isText(value) ? [[name.toLowerCase(), name]] : []))));
  return SYNONYMS.flatMap(({ format, fields, optional }) => {
    const found = Object.entries(fields).map(([field, names]) => ({ field, column: names.flatMap((name) => columns.get(name) ?? [])[0] }));
    if (found.some(({ field, column }) => column === undefined && field !== optional)) return [];
    const map = Object.fromEntries(found.flatMap(({ field, column }) => (column === undefined || column === field ? [] : [[field, column]])));
    return [{ format, map }];
  });
}
