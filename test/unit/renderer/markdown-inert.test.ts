// @vitest-environment happy-dom
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createElement } from 'react';
import { flushSync } from 'react-dom';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TooltipProvider } from '../../../renderer/components/tooltip.tsx';
import { Markdown } from '../../../renderer/markdown/markdown.tsx';
import { loadHighlighting, loadMath } from '../../../renderer/markdown/plugins.ts';

const payloads = readFileSync(join(import.meta.dirname, '../../data/xss.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.replaceAll('\\n', '\n').replaceAll('\\u0001', '\u0001').replaceAll('\\x20', ' '));

/** Elements that Markdown, KaTeX (MathML and SVG included), highlight.js and our own controls may make; nothing else. */
const allowedElements = new Set(
  (
    'div span p br hr em strong del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 a table thead tbody tr th td input sup section button svg path rect circle line ' +
    'math semantics mrow mi mo mn mtext mspace mfrac msqrt mroot msup msub msubsup munder mover munderover mtable mtr mtd mstyle menclose mpadded mphantom mglyph annotation'
  ).split(' '),
);

/** Everything that could run, fetch or lead somewhere by itself. */
function dangers(container: Element): string[] {
  return [...container.querySelectorAll('*')].flatMap((element) => {
    const name = element.localName;
    const found = allowedElements.has(name) ? [] : [`<${name}>`];
    for (const { name: attribute, value } of element.attributes) {
      if (/^on/i.test(attribute)) found.push(`${name}[${attribute}]`);
      if (['src', 'srcset', 'data', 'poster', 'background', 'action', 'formaction', 'xlink:href', 'srcdoc', 'ping'].includes(attribute)) {
        found.push(`${name}[${attribute}=${value}]`);
      }
      if (attribute === 'href' && !(name === 'a' && /^(https?:\/\/|mailto:)/.test(value))) found.push(`${name}[href=${value}]`);
      if (attribute === 'style' && /url\s*\(|expression|@import|javascript/i.test(value)) found.push(`${name}[style=${value}]`);
      if ((attribute === 'id' || attribute === 'name') && !/^(radix-|user-content-|_r_)/.test(value)) found.push(`${name}[${attribute}=${value}]`);
    }
    if (name === 'a' && (element.getAttribute('rel') !== 'noopener noreferrer' || element.getAttribute('target') !== '_blank'))
      found.push('a without rel and target');
    return found;
  });
}

let container: HTMLElement;
let root: Root;

function draw(text: string, streaming: boolean): void {
  flushSync(() => root.render(createElement(TooltipProvider, null, createElement(Markdown, { text, streaming }))));
}

describe('a model’s text is inert', () => {
  // Formulas and colours are part of what is looked at: their chunks are there before the first text is drawn.
  beforeAll(async () => {
    await Promise.all([loadMath(), loadHighlighting()]);
  });
  beforeEach(() => {
    container = document.createElement('div');
    document.body.append(container);
    root = createRoot(container);
  });
  afterEach(() => {
    flushSync(() => root.unmount());
    container.remove();
  });

  it('has a corpus of at least 60 payloads', () => {
    expect(payloads.length).toBeGreaterThanOrEqual(60);
  });

  it('draws formulas and colours code in this test, so that their output is looked at too', async () => {
    const text = '$x^2$\n\n```js\nconst a = 1;\n```';
    draw(text, false);
    await Promise.resolve();
    draw(`${text} `, false);
    expect(container.querySelector('.katex')).not.toBeNull();
    expect(container.querySelector('.hljs-keyword')?.textContent).toBe('const');
    expect(dangers(container)).toEqual([]);
  });

  it('finds what it looks for', () => {
    container.innerHTML = '<img src="x" onerror="1"><a href="javascript:1">x</a><p style="background:url(x)" id="root">x</p>';
    expect(dangers(container)).toEqual([
      '<img>',
      'img[src=x]',
      'img[onerror]',
      'a[href=javascript:1]',
      'a without rel and target',
      'p[style=background:url(x)]',
      'p[id=root]',
    ]);
    container.innerHTML = '';
  });

  it.each(payloads)('as a whole: %s', async (payload) => {
    draw(payload, false);
    await Promise.resolve();
    draw(`${payload} `, false);
    expect(dangers(container)).toEqual([]);
  });

  it.each(payloads)('as streamed prefixes: %s', (payload) => {
    for (let end = 1; end <= payload.length; end += 1) {
      draw(payload.slice(0, end), true);
      const found = dangers(container);
      if (found.length > 0) expect({ prefix: payload.slice(0, end), found }).toEqual({ prefix: payload.slice(0, end), found: [] });
    }
    draw(payload, false);
    expect(dangers(container)).toEqual([]);
  });

  it('shows HTML as the text that it is', () => {
    draw('before <b>bold</b> after', false);
    expect(container.textContent).toBe('before <b>bold</b> after');
  });

  it('shows the address of a picture and fetches nothing', () => {
    draw('![a cat](https://evil.example/cat.png)', false);
    expect(container.querySelector('img')).toBeNull();
    expect(container.textContent).toContain('https://evil.example/cat.png');
  });

  it('keeps http, https and mailto links, opened apart', () => {
    draw('[a](https://example.org/x) [b](http://example.org) [c](mailto:a@example.org)', false);
    const links = [...container.querySelectorAll('a')];
    expect(links.map((link) => link.getAttribute('href'))).toEqual(['https://example.org/x', 'http://example.org/', 'mailto:a@example.org']);
  });

  it('asks before it opens a link, and shows where it leads', () => {
    draw('[harmless.example](https://evil.example/x)', false);
    const opened: unknown[] = [];
    window.open = (url) => {
      opened.push(url);
      return null;
    };
    flushSync(() => container.querySelector('a')?.dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true })));
    expect(document.body.textContent).toContain('Open this link?');
    expect(document.body.textContent).toContain('https://evil.example/x');
    expect(opened).toEqual([]);
  });
});
