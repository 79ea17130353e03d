// The encoded dataset: what the trainer reads (native/train/data/dataset-file.h). A folder of a manifest, `dataset.json`, and for each part two files:
// NAME.examples with tokens and learn masks, NAME.index with an entry of fixed size for each example. All numbers are little-endian.
import { z } from 'zod';
import { DATASET_LOSSES, DatasetFormat, type DataUse, FieldMap, OmittedExamples, OVER_LONG, RowsReport } from '../../../contract/datasets.ts';
import type { PartName } from '../split.ts';

/** Goes up with every change of the files, and of what the same rows become. */
export const ENCODED_VERSION = 1;
export const MANIFEST_NAME = 'dataset.json';

export const partFiles = (part: PartName) => ({ examples: `${part}.examples`, index: `${part}.index` });

export const INDEX_ENTRY_BYTES = 48;

/** Where the numbers of an index entry are, in bytes. `checksum`: CRC-32 of the entry's bytes before it and of the example's. */
export const ENTRY = {
  offset: 0, // u64, of the example in NAME.examples
  row: 8, // u64, line or number of the row
  file: 16, // u32, of key.sources
  flags: 20, // u32
  tokens: 24, // u32, of a pair's chosen sequence
  targets: 28, // u32, learnt ones of them
  rejectedTokens: 32, // u32
  rejectedTargets: 36, // u32
  prompt: 40, // u32, tokens that both sequences of a pair begin with and neither learns
  checksum: 44, // u32
} as const;

export const FLAGS = { pair: 1, cut: 2 } as const;

const count = z.number().int().min(0);

export const FileIdentity = z.object({ path: z.string(), bytes: count, modifiedMs: z.number() });
export type FileIdentity = z.infer<typeof FileIdentity>;

/** All that the files follow from: an encoded dataset with an equal key can be used again. */
export const EncodingKey = z.object({
  sources: z.array(FileIdentity.extend({ format: DatasetFormat, map: FieldMap })),
  model: z.object({ files: z.array(FileIdentity), vocabularySize: count, templateSha256: z.string().nullable() }),
  /** whose tokeniser and templates were used */
  llamaVersion: z.string().nullable(),
  loss: z.enum(DATASET_LOSSES),
  split: z.object({ validation: z.number(), seed: z.number().int() }),
  /** of a sequence; null: no limit */
  maxTokens: z.number().int().min(1).nullable(),
  overLong: z.enum(OVER_LONG),
});
export type EncodingKey = z.infer<typeof EncodingKey>;

export const PartCounts = z.object({
  examples: count,
  /** of them preference pairs */
  pairs: count,
  /** both sequences of pairs */
  tokens: count,
  targets: count,
  /** tokens of the longest example, of a pair both sequences */
  longest: count,
  exampleBytes: count,
  indexBytes: count,
});
export type PartCounts = z.infer<typeof PartCounts>;

export const EncodedCounts = OmittedExamples.extend({ parts: z.object({ train: PartCounts, validation: PartCounts }) });
export type EncodedCounts = z.infer<typeof EncodedCounts>;

/** `survey`: kept, so that who uses the files again is told, too, which rows are not in them */
export const EncodedManifest = EncodedCounts.extend({ version: z.literal(ENCODED_VERSION), key: EncodingKey, survey: RowsReport });
export type EncodedManifest = z.infer<typeof EncodedManifest>;

export const dataUse = ({ survey, cut, leftOut }: EncodedManifest): DataUse => ({ ...survey, cut, leftOut });
