// How elements of a model's text are drawn: nothing here fetches, runs or opens anything by itself.
import { Check, Copy, ExternalLink, Image } from 'lucide-react';
import { type ReactNode, useRef, useState } from 'react';
import type { Components } from 'react-markdown';
import { Button, Dialog, IconButton } from '../components/index.ts';
import { copyText } from './copy.ts';
import { safeUrl } from './links.ts';
import style from './markdown.module.css';

/** A link that asks first and shows where it really leads. */
export function SafeLink({ href, children, className }: { href: string | undefined; children: ReactNode; className?: string | undefined }) {
  const [asked, setAsked] = useState(false);
  const url = safeUrl(href);
  if (!url) return <span className={className}>{children}</span>;
  const ask = (event: React.MouseEvent) => {
    event.preventDefault();
    setAsked(true);
  };
  return (
    <>
      <a href={url} target="_blank" rel="noopener noreferrer" className={className} title={url} onClick={ask} onAuxClick={ask}>
        {children}
      </a>
      {asked && <OpenLink url={url} onClose={() => setAsked(false)} />}
    </>
  );
}

function OpenLink({ url, onClose }: { url: string; onClose: () => void }) {
  const open = () => {
    window.open(url, '_blank', 'noopener,noreferrer');
    onClose();
  };
  const footer = (
    <>
      <Button icon={Copy} onClick={() => void copyText(url).then(onClose)}>
        Copy
      </Button>
      <Button variant="primary" icon={ExternalLink} onClick={open}>
        Open
      </Button>
    </>
  );
  return (
    <Dialog open onOpenChange={onClose} title="Open this link?" description="The model wrote it. It opens outside of Moebius." width="small" footer={footer}>
      <code className={style.url}>{url}</code>
    </Dialog>
  );
}

/** A picture of a model's text is never fetched: its address is shown instead. */
function ImageChip({ src, alt }: { src: string | undefined; alt: string | undefined }) {
  const url = safeUrl(src);
  return (
    <span className={style.chip}>
      <Image size={13} aria-hidden />
      <span>{alt || 'picture'}</span>
      {url ? (
        <SafeLink href={url} className={style.chipUrl}>
          {url}
        </SafeLink>
      ) : (
        <span className={style.chipUrl}>not shown</span>
      )}
    </span>
  );
}

function CodeBlock({ children, language }: { children: ReactNode; language: string | null }) {
  const block = useRef<HTMLPreElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(block.current?.textContent?.replace(/\n$/, '') ?? '');
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <div className={style.code}>
      <div className={style.codeHead}>
        <span>{language ?? 'text'}</span>
        <IconButton label={copied ? 'Copied' : 'Copy code'} icon={copied ? Check : Copy} size="small" onClick={() => void copy()} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines scroll, which must be possible by keyboard */}
      <pre ref={block} tabIndex={0}>
        {children}
      </pre>
    </div>
  );
}

interface ElementNode {
  children: { type: string; tagName?: string; properties?: Record<string, unknown> }[];
}

/** `language-ts` of the code inside a `pre`. */
function languageOf(node: ElementNode | undefined): string | null {
  const names = node?.children.find((child) => child.tagName === 'code')?.properties?.className;
  if (!Array.isArray(names)) return null;
  const name = names.map(String).find((candidate) => candidate.startsWith('language-'));
  return name?.slice('language-'.length) ?? null;
}

export const elements: Components = {
  a: ({ href, children }) => <SafeLink href={href}>{children}</SafeLink>,
  img: ({ src, alt }) => <ImageChip src={typeof src === 'string' ? src : undefined} alt={alt} />,
  pre: ({ children, node }) => <CodeBlock language={languageOf(node)}>{children}</CodeBlock>,
  table: ({ children }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: wide tables scroll, which must be possible by keyboard
    <section className={style.table} aria-label="Table" tabIndex={0}>
      <table>{children}</table>
    </section>
  ),
  input: ({ checked }) => <input type="checkbox" checked={checked === true} disabled aria-label={checked ? 'done' : 'to do'} />,
  // Headings of a reply stand below the page's own.
  h1: ({ children }) => <h2 className={style.h1}>{children}</h2>,
  h2: ({ children }) => <h3 className={style.h2}>{children}</h3>,
  h3: ({ children }) => <h4>{children}</h4>,
  h4: ({ children }) => <h5>{children}</h5>,
  h5: ({ children }) => <h6>{children}</h6>,
};
