// Streaming text is cut into top-level blocks, so that a new token parses and draws only the last ones again.
import remarkGfm from 'remark-gfm';
import remarkMath from 'remark-math';
import remarkParse from 'remark-parse';
import { unified } from 'unified';

export interface Split {
  blocks: readonly string[];
  /** blocks refer to each other (link references, footnotes) and mean something only together */
  linked: boolean;
}

const parser = unified().use(remarkParse).use(remarkGfm).use(remarkMath);

/**
 * The blocks of `text`; joined they are the text. What comes after cannot change a block that two others follow: the next one may have begun
 * with half a line (`#` before `#word`), so the last two are parsed again and the ones of `previous` before them are kept.
 */
export function splitBlocks(text: string, previous: Split | null = null): Split {
  const kept = previous ? previous.blocks.slice(0, -2) : [];
  const start = keptLength(text, kept);
  const blocks = start === null ? [] : [...kept];
  const rest = text.slice(start ?? 0);
  const tree = parser.parse(rest);
  let from = 0;
  tree.children.forEach((_child, index) => {
    const next = tree.children[index + 1]?.position?.start.offset ?? rest.length;
    if (next > from) blocks.push(rest.slice(from, next));
    from = next;
  });
  const linked = tree.children.some((child) => child.type === 'definition' || child.type === 'footnoteDefinition');
  return { blocks, linked: linked || (start !== null && previous?.linked === true) };
}

/** The length of the kept blocks if the text still begins with them; null if it doesn't. */
function keptLength(text: string, kept: readonly string[]): number | null {
  let length = 0;
  for (const block of kept) {
    if (!text.startsWith(block, length)) return null;
    length += block.length;
  }
  return length;
}
