import { MoebiusError } from '../../contract/index.ts';

/** What makes imported things this installation's own. */
export interface Identity {
  createId(): string;
  now(): number;
  presetIds: ReadonlySet<string>;
}

/** What someone said in a Markdown file. */
export interface Section {
  role: 'system' | 'user' | 'assistant';
  text: string;
}

/** `path`: where in the file, '' for the whole of it. */
export function importInvalid(path: string, reason: string): MoebiusError {
  const where = path === '' ? '' : `${path}: `;
  return new MoebiusError('import.invalid', `This file cannot be imported: ${where}${reason}. Nothing was imported.`, { details: { path, reason } });
}
