import { useVirtualizer } from '@tanstack/react-virtual';
import { ArrowDown } from 'lucide-react';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Button } from '../../components/index.ts';
import { useConversations } from '../../stores/index.tsx';
import { Announcer } from './announcer.tsx';
import style from './message-list.module.css';
import { MessageRow } from './message-row.tsx';

/** A row's height before it has been measured, px. */
const ESTIMATE = 160;
/** Closer to the end than this, px, is at the end. */
const NEAR_END = 32;
const none: readonly string[] = [];

/** The shown branch, drawn only where it is seen. It stays at its end while a reply streams, unless the reader has scrolled up. */
export function MessageList({ chatId }: { chatId: string }) {
  const path = useConversations((state) => state.conversations[chatId]?.path ?? none);
  const scroll = useRef<HTMLElement>(null);
  const content = useRef<HTMLOListElement>(null);
  const { follows, toEnd } = useFollowEnd(scroll, content, path);
  const virtual = useVirtualizer({
    count: path.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ESTIMATE,
    getItemKey: (index) => path[index] ?? index,
    overscan: 4,
    useFlushSync: false,
  });
  return (
    <div className={style.frame}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which must be possible by keyboard */}
      <section className={style.scroll} ref={scroll} aria-label="Messages" tabIndex={0}>
        <ol className={style.content} ref={content} style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => (
            <li
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              className={style.row}
              style={{ transform: `translateY(${item.start}px)` }}
              aria-posinset={item.index + 1}
              aria-setsize={path.length}
            >
              <MessageRow chatId={chatId} messageId={path[item.index] ?? ''} last={item.index === path.length - 1} />
            </li>
          ))}
        </ol>
      </section>
      {!follows && (
        <div className={style.jump}>
          <Button size="small" icon={ArrowDown} onClick={toEnd}>
            Latest
          </Button>
        </div>
      )}
      <Announcer chatId={chatId} />
    </div>
  );
}

/**
 * Keeps the end in view while the content grows. Only the reader's own movement up ends that, and reaching the end again resumes it;
 * a message that is added (sent from here) resumes it too.
 */
function useFollowEnd(scroll: React.RefObject<HTMLElement | null>, content: React.RefObject<HTMLElement | null>, path: readonly string[]) {
  const following = useRef(true);
  const lastTop = useRef(0);
  const [follows, setFollows] = useState(true);
  const set = useCallback((next: boolean) => {
    following.current = next;
    setFollows(next);
  }, []);
  const toEnd = useCallback(() => {
    set(true);
    const element = scroll.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, [scroll, set]);
  const length = path.length;
  const previousLength = useRef(length);
  useLayoutEffect(() => {
    if (length > previousLength.current || length === 0) set(true);
    previousLength.current = length;
    if (following.current) toEnd();
  }, [length, set, toEnd]);
  useEffect(() => {
    const element = scroll.current;
    if (!element || !content.current) return;
    const onScroll = () => {
      const distance = element.scrollHeight - element.clientHeight - element.scrollTop;
      if (distance <= NEAR_END) set(true);
      else if (element.scrollTop < lastTop.current - 1) set(false);
      lastTop.current = element.scrollTop;
    };
    const observer = new ResizeObserver(() => {
      if (following.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(content.current);
    observer.observe(element);
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', onScroll);
    };
  }, [scroll, content, set]);
  return { follows, toEnd };
}
