// One example as the bytes of its record and of its index entry.
import { crc32 } from 'node:zlib';
import type { OverLong, RowPlace } from '../../../contract/datasets.ts';
import type { EncodedExample } from '../../../engine/protocol.ts';
import { ENTRY, FLAGS, INDEX_ENTRY_BYTES } from './format.ts';

/** Tokens and which of them are learnt, ascending. The first token never is: nothing comes before it that could predict it. */
export interface Sequence {
  tokens: readonly number[];
  targets: readonly number[];
}

export interface Limit {
  maxTokens: number | null;
  overLong: OverLong;
}

/** One sequence, or the chosen and the rejected one of a pair. */
export interface Fitted {
  sequences: Sequence[];
  isCut: boolean;
}

/** The example within the limit, or why it is left out. */
export function fitExample(encoded: readonly EncodedExample[], { maxTokens, overLong }: Limit): Fitted | 'overLong' | 'nothingToLearn' {
  const isOverLong = maxTokens !== null && encoded.some(({ tokenCount }) => tokenCount > maxTokens);
  if (isOverLong && overLong === 'leave-out') return 'overLong';
  const sequences = encoded.map((each) => sequenceOf(each, maxTokens ?? Number.POSITIVE_INFINITY));
  const [first, second] = sequences;
  const isEqualPair = first && second && commonTokens(first, second) === Math.max(first.tokens.length, second.tokens.length);
  if (isEqualPair || sequences.some(({ targets }) => targets.length === 0)) return 'nothingToLearn';
  return { sequences, isCut: isOverLong };
}

function sequenceOf({ tokens, supervised }: EncodedExample, most: number): Sequence {
  if (tokens === undefined) throw new Error('encoded without tokens');
  const kept = tokens.length > most ? tokens.slice(0, most) : tokens;
  const targets: number[] = [];
  for (const [begin, end] of supervised) {
    for (let at = Math.max(1, begin); at < Math.min(end, kept.length); at++) targets.push(at);
  }
  return { tokens: kept, targets };
}

function commonTokens(a: Sequence, b: Sequence): number {
  let at = 0;
  while (at < a.tokens.length && at < b.tokens.length && a.tokens[at] === b.tokens[at]) at += 1;
  return at;
}

/** Tokens that both begin with and neither learns: of a pair, what is computed for both alike. */
export function sharedPrompt(chosen: Sequence, rejected: Sequence): number {
  return Math.min(commonTokens(chosen, rejected), ...chosen.targets.slice(0, 1), ...rejected.targets.slice(0, 1));
}

/** A bit for each token, in whole 32-bit words, so that what follows is aligned. */
export const maskBytes = (tokens: number) => Math.ceil(tokens / 32) * 4;

/** For each sequence its tokens (i32), then its learn mask: bit i % 8 of byte i / 8. */
export function recordOf(sequences: readonly Sequence[]): Buffer {
  const bytes = sequences.reduce((sum, { tokens: { length } }) => sum + length * 4 + maskBytes(length), 0);
  const record = Buffer.alloc(bytes);
  let at = 0;
  for (const { tokens, targets } of sequences) {
    for (const token of tokens) at = record.writeInt32LE(token, at);
    for (const target of targets) {
      const byte = at + (target >> 3);
      record[byte] = (record[byte] ?? 0) | (1 << (target & 7));
    }
    at += maskBytes(tokens.length);
  }
  return record;
}

/** `offset`: where the record lies in its file. */
export function entryOf({ sequences, isCut }: Fitted, { file, place }: RowPlace, offset: number, record: Buffer): Buffer {
  const entry = Buffer.alloc(INDEX_ENTRY_BYTES);
  const [first, second] = sequences;
  entry.writeBigUInt64LE(BigInt(offset), ENTRY.offset);
  entry.writeBigUInt64LE(BigInt(place), ENTRY.row);
  entry.writeUInt32LE(file, ENTRY.file);
  entry.writeUInt32LE((second ? FLAGS.pair : 0) | (isCut ? FLAGS.cut : 0), ENTRY.flags);
  entry.writeUInt32LE(first?.tokens.length ?? 0, ENTRY.tokens);
  entry.writeUInt32LE(first?.targets.length ?? 0, ENTRY.targets);
  entry.writeUInt32LE(second?.tokens.length ?? 0, ENTRY.rejectedTokens);
  entry.writeUInt32LE(second?.targets.length ?? 0, ENTRY.rejectedTargets);
  entry.writeUInt32LE(first && second ? sharedPrompt(first, second) : 0, ENTRY.prompt);
  entry.writeUInt32LE(crc32(record, crc32(entry.subarray(0, ENTRY.checksum))), ENTRY.checksum);
  return entry;
}
