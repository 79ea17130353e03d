// From files of rows to an encoded dataset, or to the one that is there already.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type DatasetReport, placeText } from '../../../contract/datasets.ts';
import { MoebiusError } from '../../../contract/errors.ts';
import type { LoadedModel } from '../../../engine/protocol.ts';
import type { DownloadDisk } from '../../../library/downloads/partial-file.ts';
import { locateModel } from '../../../library/models/scan.ts';
import { planFile } from '../plan.ts';
import { PARTS } from '../split.ts';
import { type SurveyOptions, type SurveyTokens, surveyDataset } from '../survey.ts';
import { type EncodedCounts, EncodedManifest, type EncodingKey, type FileIdentity, MANIFEST_NAME, partFiles } from './format.ts';
import type { Limit } from './record.ts';
import { EncodedWriter } from './writer.ts';

export interface EncodeOptions extends SurveyOptions, Limit {
  tokens: Omit<SurveyTokens, 'onEncoded'>;
  /** where the encoded dataset is to be */
  folder: string;
  /** that `tokens` are of, and the llama.cpp that loaded it */
  model: LoadedModel;
  llamaVersion: string | null;
  disk?: DownloadDisk;
}

export interface Encoded {
  report: DatasetReport;
  counts: EncodedCounts;
  /** null: no example is left for training, so nothing was written */
  manifest: EncodedManifest | null;
}

/** Surveys the files and writes what the model sees of them. Throws what a survey does; request.invalid, disk.full, file.unwritable of the folder. */
export async function encodeDataset(options: EncodeOptions): Promise<Encoded> {
  const folder = resolve(options.folder);
  // before anything is read: of a file that changes meanwhile the old time is written down, and the dataset is not used again
  const writer = await EncodedWriter.create(folder, await encodingKey(options), options.disk);
  try {
    const report = await surveyDataset({
      ...options,
      tokens: { ...options.tokens, onEncoded: (row) => writer.add(row) },
      onProgress: (progress) => {
        writer.progress(progress.fraction);
        options.onProgress?.(progress);
      },
    });
    options.signal?.throwIfAborted();
    const counts = writer.counts();
    const { tokens: _tokens, preview: _preview, ...rows } = report;
    return { report, counts, manifest: counts.parts.train.examples > 0 ? await writer.publish(rows) : null };
  } finally {
    await writer.dispose();
  }
}

/** The encoded dataset of these options: the one in the folder if it is theirs, else written now. Throws as encodeDataset, dataset.no-good-row if nothing is left for training. */
export async function encodedDataset(options: EncodeOptions): Promise<EncodedManifest> {
  const there = await manifestIn(resolve(options.folder));
  if (there !== null && isDeepStrictEqual(there.key, await encodingKey(options))) return there;
  const { report, counts, manifest } = await encodeDataset(options);
  if (manifest === null) throw nothingLeft(report, counts);
  return manifest;
}

export function nothingLeft({ rows, good, files, badRows }: DatasetReport, { leftOut, parts }: EncodedCounts): MoebiusError {
  const [bad] = badRows.listed;
  const first = bad ? ` The first bad one: ${placeText(files, bad)}: ${bad.detail}.` : '';
  const message = `Of ${rows} rows none is left to learn from: ${rows - good} are bad, ${leftOut.overLong} have more tokens than may be, ${leftOut.nothingToLearn} have nothing to learn, and ${parts.validation.examples} are for validation.${first}`;
  return new MoebiusError('dataset.no-good-row', message, { details: { rows, good, ...leftOut, validation: parts.validation.examples } });
}

/** Null if there is none, one of another version, or one whose files have other sizes. */
export async function manifestIn(folder: string): Promise<EncodedManifest | null> {
  const text = await readFile(join(folder, MANIFEST_NAME), 'utf8').catch(() => null);
  const parsed = EncodedManifest.safeParse(parseJson(text));
  if (!parsed.success) return null;
  for (const part of PARTS) {
    const { examples, index } = partFiles(part);
    const { exampleBytes, indexBytes } = parsed.data.parts[part];
    if ((await bytesOf(join(folder, examples))) !== exampleBytes || (await bytesOf(join(folder, index))) !== indexBytes) return null;
  }
  return parsed.data;
}

function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

const bytesOf = async (path: string) => (await stat(path).catch(() => null))?.size;

/** Throws what planning does: file.not-found, file.unreadable, request.invalid, dataset.format-unsure. */
export async function encodingKey(options: EncodeOptions): Promise<EncodingKey> {
  const { tokens, split, maxTokens, overLong, model, llamaVersion } = options;
  const sources = [];
  for (const path of options.files) {
    const identity = await identityOf(resolve(path));
    const { format, map } = await planFile(path, options);
    sources.push({ ...identity, format, map });
  }
  const { vocabularySize, chatTemplate } = model.inspection;
  const files = (await locateModel(model.path)).files.map(({ path, bytes, modifiedMs }) => ({ path, bytes, modifiedMs }));
  const templateSha256 = chatTemplate === null ? null : createHash('sha256').update(chatTemplate).digest('hex');
  return {
    sources,
    model: { files, vocabularySize, templateSha256 },
    llamaVersion,
    loss: tokens.loss,
    split: { validation: split.validation, seed: split.seed },
    maxTokens,
    overLong,
  };
}

async function identityOf(path: string): Promise<FileIdentity> {
  const status = await stat(path).catch(() => null);
  if (status === null) throw new MoebiusError('file.not-found', `There is no file ${path}.`, { details: { path } });
  return { path, bytes: status.size, modifiedMs: status.mtimeMs };
}
