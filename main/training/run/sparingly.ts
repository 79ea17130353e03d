// How far work is, told as often as somebody can read it.
const EVERY_MS = 500;

/** Tells when a part of the work begins, and then twice a second at most. */
export function sparingly<P extends { what: string; fraction: number }>(tell: (progress: P) => void): (progress: P) => void {
  let [last, at]: [string | null, number] = [null, 0];
  return (progress) => {
    const now = performance.now();
    if (progress.what === last && now - at < EVERY_MS) return;
    [last, at] = [progress.what, now];
    tell(progress);
  };
}
