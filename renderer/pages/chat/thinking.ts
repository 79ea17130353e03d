// What a reasoning model writes before its answer, told apart while it streams. The engine parses a reply by the template's own rules when it is
// whole; until then, and for a reply that was stopped or continued, the usual tags have to do.

export interface Thinking {
  reasoning: string;
  answer: string;
  /** the reasoning has not ended yet */
  open: boolean;
}

const tags: readonly (readonly [string, string])[] = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<seed:think>', '</seed:think>'],
  ['[THINK]', '[/THINK]'],
];

/**
 * `running`: the engine has not parsed the reply. Many templates open the tag in the prompt, so that only its end is seen; in a reply that was
 * parsed such an end is a part of the answer.
 */
export function splitThinking(text: string, running: boolean): Thinking {
  const start = text.trimStart();
  // half a tag is not shown: nothing is known yet
  if (running && start !== '' && tags.some(([open]) => start !== open && open.startsWith(start))) return { reasoning: '', answer: '', open: false };
  for (const [open, close] of tags) {
    const begins = start.startsWith(open);
    const end = start.indexOf(close);
    if (begins && end < 0) return { reasoning: withoutHalfTag(start.slice(open.length), close).trim(), answer: '', open: true };
    if (end >= 0 && (begins || running))
      return { reasoning: start.slice(begins ? open.length : 0, end).trim(), answer: start.slice(end + close.length).trimStart(), open: false };
  }
  return { reasoning: '', answer: text, open: false };
}

function withoutHalfTag(text: string, tag: string): string {
  for (let length = tag.length - 1; length > 0; length--) if (text.endsWith(tag.slice(0, length))) return text.slice(0, -length);
  return text;
}
