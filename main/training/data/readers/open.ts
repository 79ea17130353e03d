// Which reader a file needs: by its name, and by its first bytes where the name says nothing or something else.
import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { MoebiusError } from '../../../contract/errors.ts';
import { readDelimited } from './delimited.ts';
import { readJsonArray, readJsonObjects } from './json-array.ts';
import { readJsonLines } from './jsonl.ts';
import { type ObjectLayout, objectLayoutOf } from './object-layout.ts';
import { readParquet } from './parquet.ts';
import { readPlainText } from './plain-text.ts';
import type { Rows } from './row.ts';

export type FileKind = 'jsonl' | 'json' | 'csv' | 'parquet' | 'text';

export interface DataFile {
  path: string;
  kind: FileKind;
  bytes: number;
  /** what the numbers of rows count */
  unit: 'line' | 'row';
  /** From the first row, as often as it is called. End the generator to close the file. */
  rows(): Rows;
}

const readers: Record<FileKind, { unit: DataFile['unit']; read: (path: string) => Rows }> = {
  jsonl: { unit: 'line', read: readJsonLines },
  json: { unit: 'row', read: readJsonArray },
  csv: { unit: 'line', read: readDelimited },
  parquet: { unit: 'row', read: readParquet },
  text: { unit: 'line', read: readPlainText },
};

const extensions: Record<string, FileKind> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.json': 'json',
  '.csv': 'csv',
  '.tsv': 'csv',
  '.parquet': 'parquet',
  '.txt': 'text',
  '.text': 'text',
  '.md': 'text',
};

/** Throws file.not-found, file.unreadable. */
export async function openDataFile(path: string): Promise<DataFile> {
  const { head, bytes } = await readHead(path);
  refuseOtherEncodings(path, head);
  const layout = textOf(head).startsWith('{') ? await objectLayoutOf(path) : 'one';
  const kind = kindOf(path, head, layout);
  const { unit, read } = readers[kind];
  return { path, kind, bytes, unit, rows: () => (kind === 'json' && layout === 'spread' ? readJsonObjects(path) : read(path)) };
}

/** Without a byte order mark and spaces before it. */
function textOf(head: Buffer): string {
  return head
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart();
}

const HEAD_BYTES = 64 * 1024;

async function readHead(path: string): Promise<{ head: Buffer; bytes: number }> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      return { head: buffer.subarray(0, bytesRead), bytes: size };
    } finally {
      await file.close();
    }
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (missing) throw new MoebiusError('file.not-found', `There is no file ${path}.`, { details: { path } });
    throw new MoebiusError('file.unreadable', `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`, { details: { path } });
  }
}

function refuseOtherEncodings(path: string, head: Buffer): void {
  const refuse = (what: string) => {
    throw new MoebiusError('file.unreadable', `${path} is ${what}.`, { details: { path } });
  };
  if (head[0] === 0x1f && head[1] === 0x8b) refuse('compressed with gzip; unpack it first');
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) refuse('UTF-16; save it as UTF-8');
}

/** `layout`: of a file that begins with an object */
export function kindOf(path: string, head: Buffer, layout: ObjectLayout): FileKind {
  if (head.subarray(0, 4).toString('latin1') === 'PAR1') return 'parquet';
  const named = extensions[extname(path).toLowerCase()];
  const text = textOf(head);
  if (named === 'json' || named === 'jsonl') return jsonKindOf(text, named, layout);
  return named ?? (text.startsWith('{') || text.startsWith('[') ? jsonKindOf(text, 'json', layout) : 'text');
}

/** JSON Lines are often named .json, and lists .jsonl. */
function jsonKindOf(text: string, named: 'json' | 'jsonl', layout: ObjectLayout): FileKind {
  const [line = ''] = text.split(/\r?\n/, 1);
  if (named === 'jsonl') return line.trim() === '[' || /^\[\s*\{/.test(line) ? 'json' : 'jsonl';
  return layout === 'lines' ? 'jsonl' : 'json';
}
