/** FTS5 gives up on deeper expressions than 256; nobody types that many words. */
const MOST_WORDS = 64;

/**
 * What a user typed as an FTS5 expression: every word, as a prefix, in any order. Words are quoted, so nothing in them is syntax.
 * Null when there is nothing to search for.
 */
export function searchExpression(typed: string): string | null {
  const words = typed.split(/[\s\0]+/).filter((word) => word !== '');
  if (words.length === 0) return null;
  return words
    .slice(0, MOST_WORDS)
    .map((word) => `"${word.replaceAll('"', '""')}"*`)
    .join(' ');
}
