// What turns Markdown of a model into elements that can do nothing: sanitised to a short list, HTML shown as the text that it is.
import rehypeSanitize from 'rehype-sanitize';
import remarkGfm from 'remark-gfm';
import remarkMath from 'remark-math';
import type { PluggableList } from 'unified';

interface MarkdownNode {
  type: string;
  value?: string;
  children?: MarkdownNode[];
}

/** HTML in Markdown becomes text: the reader sees what the model wrote, the browser never does. */
function remarkHtmlAsText() {
  const walk = (node: MarkdownNode, inBlock: boolean) => {
    if (!node.children) return;
    node.children = node.children.map((child) => {
      if (child.type !== 'html') {
        walk(child, child.type === 'paragraph' || child.type === 'heading' || child.type === 'tableCell' || inBlock);
        return child;
      }
      const text = { type: 'text', value: child.value ?? '' };
      return inBlock ? text : { type: 'paragraph', children: [text] };
    });
  };
  return (tree: MarkdownNode) => walk(tree, false);
}

/** Elements and attributes that pass; everything else is dropped. Images pass to be drawn as chips (see elements.tsx). */
const schema = {
  tagNames: [
    ...['p', 'br', 'hr', 'em', 'strong', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6'],
    ...['a', 'img', 'table', 'thead', 'tbody', 'tr', 'th', 'td', 'input', 'sup', 'section'],
  ],
  attributes: {
    a: ['href'],
    img: ['src', 'alt'],
    code: [['className', /^language-./, 'math-inline', 'math-display'] as [string, ...(string | RegExp)[]]],
    ol: ['start', ['className', 'contains-task-list'] as [string, string]],
    ul: [['className', 'contains-task-list'] as [string, string]],
    li: [['className', 'task-list-item'] as [string, string]],
    input: [['type', 'checkbox'] as [string, string], 'checked', ['disabled', true] as [string, boolean]],
    th: ['align'],
    td: ['align'],
  },
  required: { input: { type: 'checkbox', disabled: true } },
  protocols: { href: ['http', 'https', 'mailto'], src: ['http', 'https', 'data'] },
  strip: ['script', 'style'],
};

export const remarkPlugins: PluggableList = [remarkGfm, remarkMath, remarkHtmlAsText];
export const basePlugins: PluggableList = [[rehypeSanitize, schema]];

/** What runs after sanitising, when the text needs it: each in a chunk of its own. */
export interface Extras {
  math: PluggableList;
  code: PluggableList;
}

let math: Promise<PluggableList> | undefined;
let code: Promise<PluggableList> | undefined;

/** KaTeX. `trust: false`: no links, images or HTML attributes out of formulas; macros may expand a thousand times at most. */
export function loadMath(): Promise<PluggableList> {
  math ??= import('./math.ts').then((module) => [
    [module.rehypeKatex, { trust: false, maxExpand: 1000, maxSize: 20, strict: 'ignore', errorColor: 'var(--warn)' }],
  ]);
  return math;
}

export function loadHighlighting(): Promise<PluggableList> {
  code ??= import('rehype-highlight').then((module) => [[module.default, { detect: false }]]);
  return code;
}
