// One JSON value a line. Empty lines are no rows.
import { type Line, lineText, readLines } from './lines.ts';
import { parseJson, type Rows, rowOf } from './row.ts';

export async function* readJsonLines(path: string): Rows {
  for await (const lines of readLines(path)) {
    const rows = lines.filter((line) => !isBlank(line)).map((line) => rowOf(line.number, line.offset, () => parseJson(lineText(line))));
    if (rows.length > 0) yield rows;
  }
}

function isBlank({ bytes }: Line): boolean {
  return bytes !== null && (bytes.length === 0 || (bytes.length < 1024 && bytes.toString('latin1').trim() === ''));
}
