import { memo, useEffect, useMemo, useRef, useState } from 'react';
import ReactMarkdown from 'react-markdown';
import type { PluggableList } from 'unified';
import { type Split, splitBlocks } from './blocks.ts';
import { mayHaveCode, mayHaveMath, normaliseMath } from './dollars.ts';
import { elements } from './elements.tsx';
import { safeUrl } from './links.ts';
import style from './markdown.module.css';
import { basePlugins, loadHighlighting, loadMath, remarkPlugins } from './plugins.ts';
import './highlight.css';

/** Code of more characters than this is not coloured while it streams: that would colour it all again with every token. */
const STREAMED_HIGHLIGHT_LIMIT = 10_000;
const nothing: PluggableList = [];

/** A model's text. While it streams only its last two blocks are parsed and drawn again. */
export const Markdown = memo(function Markdown({ text, streaming }: { text: string; streaming: boolean }) {
  const previous = useRef<Split | null>(null);
  const source = useMemo(() => normaliseMath(text), [text]);
  const split = useMemo(() => {
    // A cache of the last result: what comes out depends on the text alone.
    previous.current = splitBlocks(source, previous.current);
    return previous.current;
  }, [source]);
  const blocks = split.linked && !streaming ? [source] : split.blocks;
  return (
    <div className={style.markdown}>
      {blocks.map((block, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a block is its place; its text changes while it streams
        <Block key={index} text={block} streaming={streaming && index >= blocks.length - 2} />
      ))}
    </div>
  );
});

const Block = memo(function Block({ text, streaming }: { text: string; streaming: boolean }) {
  const math = usePlugins(mayHaveMath(text), loadMath);
  const code = usePlugins(mayHaveCode(text) && !(streaming && text.length > STREAMED_HIGHLIGHT_LIMIT), loadHighlighting);
  const rehypePlugins = useMemo(() => [...basePlugins, ...math, ...code], [math, code]);
  return (
    <ReactMarkdown remarkPlugins={remarkPlugins} rehypePlugins={rehypePlugins} components={elements} urlTransform={(url) => safeUrl(url)}>
      {text}
    </ReactMarkdown>
  );
});

/** Plugins that come in a chunk of their own; until then the text is shown without them. */
function usePlugins(wanted: boolean, load: () => Promise<PluggableList>): PluggableList {
  const [plugins, setPlugins] = useState<PluggableList>(nothing);
  useEffect(() => {
    if (!wanted) return;
    let current = true;
    // A chunk that cannot be fetched leaves the text plain.
    load().then(
      (loaded) => current && setPlugins(loaded),
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [wanted, load]);
  return wanted ? plugins : nothing;
}
