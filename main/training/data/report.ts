// What a survey of a dataset says: what `moebius dataset --json` prints.
import { z } from 'zod';
import { LOSSES } from './encoder.ts';
import { FieldMap, Format } from './formats/format.ts';
import { BAD_ROW_REASONS, type BadRowReason, WARNINGS, type Warning } from './problem.ts';

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
  format: Format,
  map: FieldMap,
  /** how the format was found out */
  why: z.string(),
  /** share of the rows looked at that fit; null: the format was given */
  confidence: z.number().nullable(),
  rows: z.number().int(),
  bad: z.number().int(),
});
export type SurveyedFile = z.infer<typeof SurveyedFile>;

export const Lengths = z.object({
  count: z.number().int(),
  mean: z.number(),
  p50: z.number().int(),
  p90: z.number().int(),
  p99: z.number().int(),
  max: z.number().int(),
  /** how many are `from` to `to` tokens long, both included; from 1, 2, 4, 8 ... up to the last that has any */
  bars: z.array(z.object({ from: z.number().int(), to: z.number().int(), count: z.number().int() })),
});
export type Lengths = z.infer<typeof Lengths>;

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
  warnings: z.array(z.object({ warning: z.enum(keysOf<Warning>(WARNINGS)), text: z.string(), count: z.number().int(), first: RowPlace })),
  duplicates: z.object({
    /** rows that repeat an earlier one */
    count: z.number().int(),
    /** there were more examples than are remembered: some repetitions may be missing */
    incomplete: z.boolean(),
    /** the first ones */
    listed: z.array(RowPlace.extend({ first: RowPlace })),
  }),
  split: z.object({ share: z.number(), seed: z.number().int(), train: z.number().int(), validation: z.number().int() }),
  /** null: surveyed without a model */
  tokens: z
    .object({
      model: z.string(),
      loss: z.enum(LOSSES),
      /** of examples; of a preference the longer continuation counts */
      lengths: Lengths,
      total: z.number(),
      supervised: z.number(),
      context: z.number().int(),
      overContext: z.number().int(),
    })
    .nullable(),
  preview: z.array(PreviewedExample),
});
export type DatasetReport = z.infer<typeof DatasetReport>;
