// Formulas as models write them. remark-math knows only `$...$` and `$$...$$`, and would take `costs $5 and $10` for one.

// Code, fenced or inline, is left alone; then \[...\], \(...\), $$...$$, $...$ as pandoc has it, and at last any other dollar.
const pattern =
  /(^[ \t]*(```+|~~~+)[^\n]*\n[\s\S]*?(?:^[ \t]*\2[`~]*[ \t]*$|(?![\s\S]))|(`+)(?:(?!\3)[\s\S])*?\3)|\\\[([\s\S]+?)\\\]|\\\(([^\n]+?)\\\)|(\$\$[\s\S]*?(?:\$\$|(?![\s\S]))|\\\$|\$(?=\S)[^$\n]*?[^\s$\\]\$(?!\d))|\$/gm;

/** The same text with formulas in dollars, and dollars that are money escaped. */
export function normaliseMath(text: string): string {
  if (!text.includes('$') && !text.includes('\\[') && !text.includes('\\(')) return text;
  return text.replace(pattern, (match, codeSpan: string | undefined, _fence, _ticks, display?: string, inline?: string, dollars?: string) => {
    if (codeSpan !== undefined || dollars !== undefined) return match;
    if (display !== undefined) return `\n$$\n${display.trim()}\n$$\n`;
    if (inline !== undefined) return `$${inline.trim()}$`;
    return '\\$';
  });
}

export const mayHaveMath = (text: string): boolean => text.includes('$') || text.includes('```math');
export const mayHaveCode = (text: string): boolean => text.includes('```') || text.includes('~~~');
