// The encoded dataset of a run that has begun: it keeps the one that it began with, and goes on with no other.
import { readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { MoebiusError } from '../../../contract/errors.ts';
import { type EncodeOptions, encodedDataset, encodingKey, manifestIn } from './encode.ts';
import type { EncodedManifest, EncodingKey } from './format.ts';
import { partFiles } from './format.ts';

/**
 * The dataset in the folder, if these options make the same examples for training. Where files, the model or llama.cpp have changed since, that is tried in `scratch`; files that are gone are not needed any more.
 * Throws request.invalid of other settings or rows, and leaves the folder as it was; as encodedDataset, which writes it anew if it is lost.
 */
export async function keptDataset(options: EncodeOptions, scratch: string): Promise<EncodedManifest> {
  const folder = resolve(options.folder);
  const begun = await manifestIn(folder);
  if (begun === null) return encodedDataset(options);
  refuseOtherSettings(begun.key, options);
  const key = await encodingKey(options).catch((error: unknown) => {
    if (error instanceof MoebiusError && error.code === 'file.not-found') return begun.key;
    throw error;
  });
  if (isDeepStrictEqual(begun.key, key)) return begun;
  try {
    const now = await encodedDataset({ ...options, folder: scratch });
    const [before, after] = await Promise.all([folder, scratch].map((at) => readFile(join(at, partFiles('train').index))));
    if (before !== undefined && after?.equals(before)) return begun;
    throw otherRows(begun, now);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function refuseOtherSettings(begun: EncodingKey, { tokens, split, maxTokens, overLong }: EncodeOptions): void {
  const settings: [string, unknown, unknown][] = [
    ['data.loss', begun.loss, tokens.loss],
    ['data.validation', begun.split.validation, split.validation],
    ['data.seed', begun.split.seed, split.seed],
    ['data.maxTokens', begun.maxTokens, maxTokens],
    ['data.overLong', begun.overLong, overLong],
  ];
  const different = settings.filter(([, before, now]) => before !== now);
  const [first] = different;
  if (first === undefined) return;
  const told = different.map(([name, before, now]) => `${name} ${before ?? 'none'}, now ${now ?? 'none'}`).join('; ');
  const message = `The run was begun with other settings: ${told}. Go on with those that it was begun with, or begin another run in a folder of its own.`;
  throw new MoebiusError('request.invalid', message, { details: { parameter: first[0], settings: different.map(([name]) => name) } });
}

function otherRows(begun: EncodedManifest, now: EncodedManifest): MoebiusError {
  const files = ({ key }: EncodedManifest) => key.sources.map(({ path, bytes }) => `${path} of ${bytes} bytes`).join(', ');
  const examples = ({ parts }: EncodedManifest) => `${parts.train.examples} examples`;
  const message = `The run was begun with other data: ${examples(begun)} from ${files(begun)}, and now there are ${examples(now)} from ${files(now)}, not all of them the same. Go on with the rows that it was begun with, or begin another run in a folder of its own.`;
  return new MoebiusError('request.invalid', message, { details: { parameter: 'data.files' } });
}
