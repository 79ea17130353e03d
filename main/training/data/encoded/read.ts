// Single examples of an encoded dataset. What reads all of it many times is the trainer (native/train/data/dataset-file).
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MoebiusError } from '../../../contract/errors.ts';
import type { PartName } from '../split.ts';
import { ENTRY, EncodedCounts, FLAGS, INDEX_ENTRY_BYTES, MANIFEST_NAME, partFiles } from './format.ts';
import { maskBytes, type Sequence } from './record.ts';

/** Throws file.unreadable. */
export async function readCounts(folder: string): Promise<EncodedCounts> {
  const path = join(folder, MANIFEST_NAME);
  return EncodedCounts.parse(JSON.parse(await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => unreadable(path, error))));
}

/** The examples of a part in the order of the rows, each its sequences. Throws file.unreadable, file.corrupt. */
export async function* readExamples(folder: string, part: PartName): AsyncGenerator<Sequence[]> {
  const names = partFiles(part);
  const index = await opened(join(folder, names.index));
  const records = await opened(join(folder, names.examples));
  try {
    const { size } = await index.stat();
    for (let at = 0; at + INDEX_ENTRY_BYTES <= size; at += INDEX_ENTRY_BYTES) {
      const entry = await readAt(index, at, INDEX_ENTRY_BYTES, folder);
      yield await sequencesOf(entry, records, folder);
    }
  } finally {
    await Promise.all([index.close(), records.close()]);
  }
}

async function sequencesOf(entry: Buffer, records: FileHandle, folder: string): Promise<Sequence[]> {
  const isPair = (entry.readUInt32LE(ENTRY.flags) & FLAGS.pair) !== 0;
  let at = Number(entry.readBigUInt64LE(ENTRY.offset));
  const sequences: Sequence[] = [];
  for (const field of isPair ? [ENTRY.tokens, ENTRY.rejectedTokens] : [ENTRY.tokens]) {
    const count = entry.readUInt32LE(field);
    const bytes = await readAt(records, at, count * 4 + maskBytes(count), folder);
    const tokens = Array.from({ length: count }, (_, token) => bytes.readInt32LE(token * 4));
    const targets = tokens.flatMap((_, token) => ((bytes[count * 4 + (token >> 3)] ?? 0) & (1 << (token & 7)) ? [token] : []));
    sequences.push({ tokens, targets });
    at += bytes.length;
  }
  return sequences;
}

async function opened(path: string): Promise<FileHandle> {
  return open(path).catch((error: NodeJS.ErrnoException) => unreadable(path, error));
}

function unreadable(path: string, error: NodeJS.ErrnoException): never {
  throw new MoebiusError('file.unreadable', `${path} cannot be read: ${error.code ?? error.message}.`, { details: { path }, cause: error });
}

async function readAt(file: FileHandle, position: number, length: number, folder: string): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  if (bytesRead < length)
    throw new MoebiusError('file.corrupt', `The encoded dataset ${folder} is shorter than its index says.`, { details: { path: folder } });
  return bytes;
}
