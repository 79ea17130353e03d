// The small map under a reply: which experts wrote it.
import { useEffect, useRef, useState } from 'react';
import style from './expert-grid.module.css';
import { MiniGrid } from './mini-grid.tsx';
import { useLiveUsage } from './use-usage.ts';

/** Fetches the counters of a stored message only once it is near the view. */
export function ExpertMiniMap({ messageId }: { messageId: string }) {
  const box = useRef<HTMLDivElement>(null);
  const near = useNear(box);
  const { usage, subscribe } = useLiveUsage(near ? { kind: 'message', id: messageId } : null);
  return (
    <div ref={box} className={style.replyMap}>
      {usage && (
        <MiniGrid
          label={`Experts of this reply: ${usage.layerCount} layers by ${usage.expertCount} experts`}
          source={usage}
          scale="log"
          subscribe={subscribe}
        />
      )}
    </div>
  );
}

function useNear(box: React.RefObject<HTMLElement | null>): boolean {
  const [near, setNear] = useState(false);
  useEffect(() => {
    if (!box.current) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && setNear(true), { rootMargin: '200px' });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, [box]);
  return near;
}
