// Text that streams in: deltas say where they start, so losses and repetitions show.

export interface TextDelta {
  /** length of the text before it, in UTF-16 units */
  offset: number;
  text: string;
}

/** The text with the delta; what is already there is not added twice; null when something before it is missing. */
export function applyDelta(text: string, delta: TextDelta): string | null {
  if (delta.offset > text.length) return null;
  const end = delta.offset + delta.text.length;
  return end <= text.length ? text : text + delta.text.slice(text.length - delta.offset);
}

/** Of two states of one streaming text the one that has more, if they agree; else the one just fetched. */
export function longerText(local: string, fetched: string): string {
  return local.startsWith(fetched) ? local : fetched;
}

/** Runs `flush` once for many requests: with the next animation frame, or soon when the page is hidden and has none. */
export function createFrameScheduler(flush: () => void): () => void {
  let scheduled = false;
  const run = () => {
    scheduled = false;
    flush();
  };
  return () => {
    if (scheduled) return;
    scheduled = true;
    if (document.visibilityState === 'visible') requestAnimationFrame(run);
    else setTimeout(run, 100);
  };
}
