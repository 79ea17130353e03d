// The one place where names that a hub gives become paths on this machine.
import path from 'node:path';
import { MoebiusError } from '../../contract/index.ts';
import { isInside } from '../models/scan.ts';

/** Names of devices on Windows, whatever their extension. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

function isPlainName(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being refused
  return !/[\u0000-\u001f\u007f\\:*?"<>|]/.test(segment) && !/[. ]$/.test(segment) && !reserved.test(segment) && segment.length <= 200;
}

/** `<folder>/<owner>/<name>/<path in the repository>`; rejects every name that could lead elsewhere. */
export function downloadPath(folder: string, repository: string, file: string): string {
  const segments = [...repository.split('/'), ...file.split('/')];
  const target = path.join(folder, ...segments);
  if (segments.every(isPlainName) && isInside(folder, target)) return target;
  throw new MoebiusError(
    'hub.refused',
    `The hub names a file ${JSON.stringify(file)} in ${repository}, which is not a name that can be stored safely. It was not downloaded.`,
    {
      details: { repository, file },
    },
  );
}

export function partialPath(file: string): string {
  return `${file}.partial`;
}
