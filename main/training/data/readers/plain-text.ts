// A text file as documents for training on raw text. Paragraphs belong together (a model that sees one at a time learns no connections), and a whole book
// is longer than any context: so a document is a run of paragraphs of some 2000 characters.
import { type Line, lineText, readLines } from './lines.ts';
import { type Row, type Rows, rowOf } from './row.ts';

/** From this many bytes on a document ends at the next empty line ... */
export const DOCUMENT_BYTES = 2048;
/** ... and from this many on at the end of any line. */
export const DOCUMENT_BYTES_MOST = 8192;

/** Rows are `{ text }`; `place` is the line where the document begins. Empty lines around documents are no part of them. */
export async function* readPlainText(path: string): Rows {
  const document = new Document();
  for await (const lines of readLines(path)) {
    const rows = lines.flatMap((line) => document.add(line));
    if (rows.length > 0) yield rows;
  }
  const rest = document.end();
  if (rest.length > 0) yield rest;
}

class Document {
  #lines: string[] = [];
  #bytes = 0;
  #place = 0;
  #offset = 0;

  add(line: Line): Row[] {
    const row = rowOf(line.number, line.offset, () => lineText(line));
    if (row.problem) return [...this.end(), row];
    const text = String(row.value); // lineText gives a string
    const blank = text.trim() === '';
    if (blank && this.#bytes === 0) return [];
    if (this.#bytes === 0) [this.#place, this.#offset] = [line.number, line.offset];
    if (blank && this.#bytes >= DOCUMENT_BYTES) return this.end();
    this.#lines.push(text);
    this.#bytes += line.length + 1;
    return this.#bytes >= DOCUMENT_BYTES_MOST ? this.end() : [];
  }

  end(): Row[] {
    if (this.#bytes === 0) return [];
    const text = this.#lines.join('\n').trimEnd();
    this.#lines = [];
    this.#bytes = 0;
    return [{ place: this.#place, offset: this.#offset, value: { text } }];
  }
}
