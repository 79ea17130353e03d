/** A name that every file system takes. `extension` without the dot. */
export function exportFileName(title: string, extension: string): string {
  const name = title
    .replaceAll(/[\\/:*?"<>|\p{Cc}\p{Cs}…]+/gu, ' ')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/^[. ]+|[. ]+$/g, '');
  const short = Array.from(name).slice(0, 60).join('').trim();
  const reserved = /^(con|prn|aux|nul|com\d|lpt\d)$/i.test(short);
  return `${reserved ? '_' : ''}${short === '' ? 'conversation' : short}.${extension}`;
}
