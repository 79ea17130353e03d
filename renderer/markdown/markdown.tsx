import { memo, type ReactElement, useEffect, useMemo, useRef, useState } from 'react';
import ReactMarkdown from 'react-markdown';
import type { PluggableList } from 'unified';
import { type Split, splitBlocks } from './blocks.ts';
import { mayHaveCode, mayHaveMath, normaliseMath } from './dollars.ts';
import { elements } from './elements.tsx';
import { safeUrl } from './links.ts';
import { LruCache } from './lru.ts';
import style from './markdown.module.css';
import { basePlugins, loadHighlighting, loadMath, remarkPlugins } from './plugins.ts';
import './highlight.css';

/** Code of more characters than this is not coloured while it streams: that would colour it all again with every token. */
const STREAMED_HIGHLIGHT_LIMIT = 10_000;
const nothing: PluggableList = [];

/** What complete texts became, so that a row that scrolls into view again isn't parsed again. */
const splits = new LruCache<Split>(200);
const drawn = new LruCache<ReactElement>(600);

/** A model's text. While it streams only its last two blocks are parsed and drawn again. */
export const Markdown = memo(function Markdown({ text, streaming }: { text: string; streaming: boolean }) {
  const previous = useRef<Split | null>(null);
  const source = useMemo(() => normaliseMath(text), [text]);
  const split = useMemo(() => {
    // A cache of the last result: what comes out depends on the text alone.
    previous.current = streaming ? splitBlocks(source, previous.current) : splits.get(source, () => splitBlocks(source, previous.current));
    return previous.current;
  }, [source, streaming]);
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
  return useMemo(() => {
    if (streaming) return draw(text, math, code);
    return drawn.get(`${math.length}${code.length}${text}`, () => draw(text, math, code));
  }, [text, math, code, streaming]);
});

/** ReactMarkdown is a plain function of its options, so what it gives may be kept. */
function draw(text: string, math: PluggableList, code: PluggableList): ReactElement {
  const urlTransform = (url: string) => safeUrl(url);
  return ReactMarkdown({ children: text, remarkPlugins, rehypePlugins: [...basePlugins, ...math, ...code], components: elements, urlTransform });
}

/** What has arrived, so that later texts are drawn right at once. */
const loaded = new Map<() => Promise<PluggableList>, PluggableList>();

/** Plugins that come in a chunk of their own; until then the text is shown without them. */
function usePlugins(wanted: boolean, load: () => Promise<PluggableList>): PluggableList {
  const [plugins, setPlugins] = useState<PluggableList>(() => loaded.get(load) ?? nothing);
  useEffect(() => {
    if (!wanted || loaded.has(load)) return;
    let current = true;
    // A chunk that cannot be fetched leaves the text plain.
    load().then(
      (list) => {
        loaded.set(load, list);
        if (current) setPlugins(list);
      },
      () => undefined,
    );
    return () => {
      current = false;
    };
  }, [wanted, load]);
  return wanted ? (loaded.get(load) ?? plugins) : nothing;
}
