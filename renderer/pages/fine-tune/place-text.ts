import type { RowPlace, SurveyedFile } from '../../../main/contract/index.ts';

/** `chats.jsonl:12` for a line, `chats.json row 12`; without the folder */
export function placeText(files: readonly SurveyedFile[], { file, place }: RowPlace): string {
  const { path = '?', unit = 'row' } = files[file] ?? {};
  return unit === 'line' ? `${fileName(path)}:${place}` : `${fileName(path)} row ${place}`;
}

export const fileName = (path: string): string => path.split(/[\\/]/).pop() ?? path;
