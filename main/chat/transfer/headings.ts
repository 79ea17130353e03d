import type { Section } from './imported.ts';

/** Markdown of other programs: sections under headings `User`, `Assistant` or `System` of any level, those in code fences left alone. */
export function importHeadings(text: string): Section[] {
  const sections: { role: Section['role']; lines: string[] }[] = [];
  let fence: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const role = fence === undefined ? roleOf(line) : undefined;
    fence = fenceAfter(line, fence);
    if (role !== undefined) sections.push({ role, lines: [] });
    else sections.at(-1)?.lines.push(line);
  }
  return sections.map(({ role, lines }) => ({ role, text: lines.join('\n').trim() })).filter((section) => section.text !== '');
}

function roleOf(line: string): Section['role'] | undefined {
  const word = line.match(/^#{1,6}[ \t]+(?:\*\*)?(system|user|assistant)(?:\*\*)?:?[ \t#]*$/i)?.[1]?.toLowerCase();
  return word === 'system' || word === 'user' || word === 'assistant' ? word : undefined;
}

/** The fence that is open after `line`: its characters, or undefined. A fence is closed by one of its kind, at least as long, and nothing else. */
function fenceAfter(line: string, open: string | undefined): string | undefined {
  const [, marks, rest] = line.match(/^ {0,3}(`{3,}|~{3,})(.*)$/) ?? [];
  if (marks === undefined || rest === undefined) return open;
  if (open === undefined) return marks.startsWith('`') && rest.includes('`') ? undefined : marks;
  return marks.startsWith(open) && rest.trim() === '' ? undefined : open;
}
