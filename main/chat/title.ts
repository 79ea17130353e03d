export const UNTITLED = 'New chat';
const LONGEST_TITLE = 60;

/** The first words of a message, at most 60 UTF-16 units, cut at a word border if there is one. */
export function titleOf(text: string): string {
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();
  if (line === '') return UNTITLED;
  if (line.length <= LONGEST_TITLE) return line;
  const room = line.slice(0, LONGEST_TITLE);
  const border = room.lastIndexOf(' ');
  const words = border > 0 ? room.slice(0, border) : room.slice(0, LONGEST_TITLE - 1);
  // half of a surrogate pair
  return `${words.replace(/[\uD800-\uDBFF]$/, '').replace(/[\s,;:.–-]+$/u, '')}…`;
}
