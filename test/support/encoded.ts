// Reads an encoded dataset by its description (main/training/data/README.md), with nothing of the code that writes it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/** As in test/data/encoded/expected.json; `learnt`: which tokens, ascending */
export interface ReadExample {
  file: number;
  row: number;
  cut: boolean;
  prompt: number;
  sequences: { tokens: number[]; learnt: number[] }[];
}

/** Throws when the files do not fit together. */
export function readPart(folder: string, part: 'train' | 'validation'): ReadExample[] {
  const index = readFileSync(join(folder, `${part}.index`));
  const records = readFileSync(join(folder, `${part}.examples`));
  const examples: ReadExample[] = [];
  let end = 0;
  for (let at = 0; at < index.length; at += 48) {
    if (Number(index.readBigUInt64LE(at)) !== end) throw new Error(`example ${examples.length} is not where the one before ends`);
    const flags = index.readUInt32LE(at + 20);
    const sequences = [24, 32].slice(0, flags & 1 ? 2 : 1).map((field) => {
      const [sequence, next] = readSequence(records, end, index.readUInt32LE(at + field));
      if (sequence.learnt.length !== index.readUInt32LE(at + field + 4)) throw new Error('other tokens are learnt than the index says');
      end = next;
      return sequence;
    });
    const record = records.subarray(Number(index.readBigUInt64LE(at)), end);
    if (crc32(Buffer.concat([index.subarray(at, at + 44), record])) !== index.readUInt32LE(at + 44)) throw new Error('a checksum does not fit');
    const [row, file] = [Number(index.readBigUInt64LE(at + 8)), index.readUInt32LE(at + 16)];
    examples.push({ file, row, cut: (flags & 2) !== 0, prompt: index.readUInt32LE(at + 40), sequences });
  }
  if (end !== records.length) throw new Error('there are bytes behind the last example');
  return examples;
}

function readSequence(records: Buffer, begin: number, count: number): [ReadExample['sequences'][number], number] {
  const tokens = Array.from({ length: count }, (_, index) => records.readInt32LE(begin + index * 4));
  const mask = begin + count * 4;
  const learnt = tokens.flatMap((_, index) => (records.readUInt8(mask + Math.floor(index / 8)) & (1 << (index % 8)) ? [index] : []));
  return [{ tokens, learnt }, mask + Math.ceil(count / 32) * 4];
}
