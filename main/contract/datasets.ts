// Datasets for fine-tuning: their formats, what can be wrong with a row, and what a survey of one says (`moebius dataset --json` prints it).
import { z } from 'zod';

export const DatasetFormat = z.enum(['alpaca', 'sharegpt', 'messages', 'prompt-completion', 'text', 'preference']);
export type DatasetFormat = z.infer<typeof DatasetFormat>;

/** Field of the format -> column of the file. Columns of the same name need no entry. */
export const FieldMap = z.record(z.string(), z.string());
export type FieldMap = z.infer<typeof FieldMap>;

/** `from`, `value`, `role` and `content` are fields of the messages in a list, the others of the row. */
export const formatFields: Record<DatasetFormat, { needed: string[]; optional: string[] }> = {
  alpaca: { needed: ['instruction', 'output'], optional: ['input', 'system'] },
  sharegpt: { needed: ['conversations'], optional: ['from', 'value', 'system', 'tools'] },
  messages: { needed: ['messages'], optional: ['role', 'content', 'system', 'tools'] },
  'prompt-completion': { needed: ['prompt', 'completion'], optional: ['system'] },
  text: { needed: ['text'], optional: [] },
  preference: { needed: ['chosen', 'rejected'], optional: ['prompt', 'system', 'tools'] },
};

/** What is learnt of a conversation: every reply, the last one, or all tokens. A text is always learnt whole. */
export const DATASET_LOSSES = ['replies', 'last', 'all'] as const;
export type DatasetLoss = (typeof DATASET_LOSSES)[number];

/** What happens to examples with more tokens than may be. */
export const OVER_LONG = ['cut', 'leave-out'] as const;
export type OverLong = (typeof OVER_LONG)[number];

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
export const ROW_WARNINGS = {
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
export type RowWarning = keyof typeof ROW_WARNINGS;

/** Object.keys of a literal are its keys. */
const keysOf = <K extends string>(record: Record<K, string>) => Object.keys(record) as [K, ...K[]];

/** file: index in `files`; place: 1-based line, or number of the row (`unit` of the file says which) */
export const RowPlace = z.object({ file: z.number().int(), place: z.number().int() });
export type RowPlace = z.infer<typeof RowPlace>;

export const ListedBadRow = RowPlace.extend({ reason: z.enum(keysOf<BadRowReason>(BAD_ROW_REASONS)), detail: z.string() });
export type ListedBadRow = z.infer<typeof ListedBadRow>;

export const PreviewedExample = RowPlace.extend({
  /** the text of the tokens, whole; two in a preference, the chosen continuation first */
  texts: z.array(z.array(z.object({ text: z.string(), supervised: z.boolean() }))),
});
export type PreviewedExample = z.infer<typeof PreviewedExample>;

export const SurveyedFile = z.object({
  path: z.string(),
  kind: z.enum(['jsonl', 'json', 'csv', 'parquet', 'text']),
  unit: z.enum(['line', 'row']),
  bytes: z.number(),
  format: DatasetFormat,
  map: FieldMap,
  /** how the format was found out */
  why: z.string(),
  /** share of the rows looked at that fit; null: the format was given */
  confidence: z.number().nullable(),
  rows: z.number().int(),
  bad: z.number().int(),
});
export type SurveyedFile = z.infer<typeof SurveyedFile>;

/** `chats.jsonl:12` for a line, `chats.json row 12` */
export function placeText(files: readonly SurveyedFile[], { file, place }: RowPlace): string {
  const { path = '?', unit = 'row' } = files[file] ?? {};
  return unit === 'line' ? `${path}:${place}` : `${path} row ${place}`;
}

export const TokenLengths = z.object({
  count: z.number().int(),
  mean: z.number(),
  p50: z.number().int(),
  p90: z.number().int(),
  p99: z.number().int(),
  max: z.number().int(),
  /** how many are `from` to `to` tokens long, both included; from 1, 2, 4, 8 ... up to the last that has any */
  bars: z.array(z.object({ from: z.number().int(), to: z.number().int(), count: z.number().int() })),
});
export type TokenLengths = z.infer<typeof TokenLengths>;

/** Different examples that later ones are compared with. */
export const EXAMPLES_REMEMBERED = 3_000_000;
export const REPETITIONS_NOT_SOUGHT = `Only the first ${EXAMPLES_REMEMBERED / 1_000_000} million different examples are remembered: what repeats a later one was not looked for.`;

export const DatasetReport = z.object({
  files: z.array(SurveyedFile),
  rows: z.number().int(),
  good: z.number().int(),
  bad: z.number().int(),
  /** good ones */
  kinds: z.object({ conversation: z.number().int(), text: z.number().int(), preference: z.number().int() }),
  badRows: z.object({
    /** exact; the most frequent first */
    reasons: z.array(z.object({ reason: ListedBadRow.shape.reason, text: z.string(), count: z.number().int() })),
    /** the first ones */
    listed: z.array(ListedBadRow),
  }),
  warnings: z.array(z.object({ warning: z.enum(keysOf<RowWarning>(ROW_WARNINGS)), text: z.string(), count: z.number().int(), first: RowPlace })),
  duplicates: z.object({
    /** rows that repeat an earlier one */
    count: z.number().int(),
    /** there were more different examples than EXAMPLES_REMEMBERED: repetitions of later ones are not counted */
    incomplete: z.boolean(),
    /** the first ones */
    listed: z.array(RowPlace.extend({ first: RowPlace })),
  }),
  split: z.object({ share: z.number(), seed: z.number().int(), train: z.number().int(), validation: z.number().int() }),
  /** null: surveyed without a model */
  tokens: z
    .object({
      model: z.string(),
      loss: z.enum(DATASET_LOSSES),
      /** of examples; of a preference the longer continuation counts */
      lengths: TokenLengths,
      total: z.number(),
      supervised: z.number(),
      context: z.number().int(),
      overContext: z.number().int(),
    })
    .nullable(),
  preview: z.array(PreviewedExample),
});
export type DatasetReport = z.infer<typeof DatasetReport>;

/** What became of the rows of a dataset. */
export const RowsReport = DatasetReport.omit({ tokens: true, preview: true });
export type RowsReport = z.infer<typeof RowsReport>;

/** Good rows that the trainer doesn't get, or not whole. */
export const OmittedExamples = z.object({
  /** examples that lost tokens to maxTokens */
  cut: z.number().int().min(0),
  leftOut: z.object({
    /** more than maxTokens */
    overLong: z.number().int().min(0),
    /** no token that is learnt, cut or not; pairs that are equal after the cut */
    nothingToLearn: z.number().int().min(0),
  }),
});

/** What training, or an evaluation, made of the rows of its data. */
export const DataUse = RowsReport.extend(OmittedExamples.shape);
export type DataUse = z.infer<typeof DataUse>;

/** `details` of the error dataset.format-unsure: what was seen, and what might be meant. */
export const UnsureFormat = z.object({
  path: z.string(),
  fields: z.array(z.object({ name: z.string(), types: z.array(z.string()), rows: z.number().int() })),
  suggestions: z.array(z.object({ format: DatasetFormat, map: FieldMap })),
});
export type UnsureFormat = z.infer<typeof UnsureFormat>;

/** Files that are one dataset, and what is to be learnt of them. */
export const TrainingData = z.strictObject({
  files: z.array(z.string().min(1)).min(1),
  format: DatasetFormat.optional(),
  map: FieldMap.optional(),
  loss: z.enum(DATASET_LOSSES).optional(),
  /** share of the examples */
  validation: z.number().min(0).lt(1).optional(),
  /** of the split */
  seed: z.number().int().min(0).optional(),
  maxTokens: z.number().int().min(2).optional(),
  overLong: z.enum(OVER_LONG).optional(),
});
export type TrainingData = z.infer<typeof TrainingData>;
