// Paints cells on a canvas of one pixel a cell, with every animation frame while something changes.
import { type RefCallback, useCallback, useEffect, useState } from 'react';
import { paint, type ScaleKind } from './colour-scale.ts';

export interface GridSource {
  readonly layerCount: number;
  readonly expertCount: number;
  /** layer-major; may change in place between paintings */
  readonly values: ArrayLike<number>;
  /** nothing will change by itself (decay); painting then waits for `subscribe` */
  readonly quiet: boolean;
  /** brings `values` up to `now` (seconds of performance.now) before a painting */
  decayTo?(now: number): void;
}

type Subscribe = ((listener: () => void) => () => void) | undefined;

/** React draws the number at the legend at most every so many ms. */
const TELL_EVERY = 250;

/** `largest`: what the brightest colour stands for now, `top` if it is given. */
export function useGridPainting(
  source: GridSource,
  scale: ScaleKind,
  subscribe: Subscribe,
  top: number | undefined,
): { canvas: RefCallback<HTMLCanvasElement>; largest: number } {
  const [element, setElement] = useState<HTMLCanvasElement | null>(null);
  const [largest, setLargest] = useState(0);
  const canvas = useCallback((next: HTMLCanvasElement | null) => setElement(next), []);
  useEffect(() => {
    const context = element?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(source.expertCount, source.layerCount);
    const pixels = new Uint32Array(image.data.buffer);
    let frame = 0;
    let told = 0;
    const draw = (milliseconds: number) => {
      frame = 0;
      source.decayTo?.(performance.now() / 1000);
      const now = paint(pixels, source.values, scale, top);
      context.putImageData(image, 0, 0);
      if (milliseconds - told > TELL_EVERY || source.quiet) {
        told = milliseconds;
        setLargest(now);
      }
      if (!source.quiet) request();
    };
    const request = () => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    };
    request();
    const unsubscribe = subscribe?.(request);
    return () => {
      unsubscribe?.();
      cancelAnimationFrame(frame);
    };
  }, [element, source, scale, subscribe, top]);
  return { canvas, largest };
}
