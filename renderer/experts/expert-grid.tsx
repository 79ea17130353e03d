// The layer x expert grid, the same everywhere: one pixel a cell on a canvas, scaled up without smoothing.
import { type KeyboardEvent, type PointerEvent, useCallback, useEffect, useRef, useState } from 'react';
import { cssGradient, LOG_DECADES, paint, type ScaleKind } from './colour-scale.ts';
import style from './expert-grid.module.css';

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

export interface Cell {
  layer: number;
  expert: number;
}

export interface ExpertGridProps {
  /** accessible name */
  label: string;
  source: GridSource;
  scale: ScaleKind;
  /** one line about a cell, for the readout and screen readers */
  cellText: (cell: Cell) => string;
  /** calls the listener whenever values changed; returns the unsubscribe function */
  subscribe?: (listener: () => void) => () => void;
  pinned?: Cell | null;
  onPin?: (cell: Cell) => void;
  /** small: no legend, no readout, no keyboard; for a reply's map */
  mini?: boolean;
  /** the painted canvas, for the export as an image */
  canvasRef?: (canvas: HTMLCanvasElement | null) => void;
}

const arrows: Record<string, [layer: number, expert: number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function ExpertGrid({ label, source, scale, cellText, subscribe, pinned = null, onPin, mini = false, canvasRef }: ExpertGridProps) {
  const [cursor, setCursor] = useState<Cell | null>(null);
  const [largest, setLargest] = useState(0);
  const canvas = usePainting(source, scale, subscribe, setLargest);
  const setCanvas = useCallback(
    (element: HTMLCanvasElement | null) => {
      canvas.current = element;
      canvasRef?.(element);
    },
    [canvas, canvasRef],
  );
  const shown = cursor ?? pinned;
  const canvasElement = <canvas ref={setCanvas} className={style.canvas} width={source.expertCount} height={source.layerCount} />;
  if (mini) {
    return (
      <div role="img" aria-label={label} className={style.mini}>
        {canvasElement}
      </div>
    );
  }
  const move = (event: KeyboardEvent) => {
    const step = arrows[event.key];
    if (step) setCursor(clampCell({ layer: (shown?.layer ?? 0) + step[0], expert: (shown?.expert ?? 0) + step[1] }, source));
    else if (shown && (event.key === 'Enter' || event.key === ' ')) onPin?.(shown);
    else return;
    event.preventDefault();
  };
  return (
    <figure className={style.figure}>
      <div
        role="application"
        aria-roledescription="expert grid"
        aria-label={`${label}. Arrow keys move, Enter pins a cell.`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard's way to the cells
        tabIndex={0}
        className={style.stage}
        style={{ '--layers': source.layerCount } as React.CSSProperties} // a custom property, which CSSProperties does not list
        onKeyDown={move}
        onPointerMove={(event) => setCursor(cellUnder(event, source))}
        onPointerLeave={() => setCursor(null)}
        onClick={() => cursor && onPin?.(cursor)}
      >
        {canvasElement}
        {pinned && <Outline cell={pinned} source={source} className={style.pinned} />}
        {cursor && <Outline cell={cursor} source={source} className={style.cursor} />}
      </div>
      <figcaption className={style.caption}>
        <output className={style.readout}>{shown ? cellText(shown) : 'Point at a cell, or use the arrow keys.'}</output>
        <Legend largest={largest} scale={scale} />
      </figcaption>
    </figure>
  );
}

/** Paints with every animation frame while something changes. Tells the largest value at most four times a second. */
function usePainting(source: GridSource, scale: ScaleKind, subscribe: ExpertGridProps['subscribe'], onLargest: (largest: number) => void) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const image = context.createImageData(source.expertCount, source.layerCount);
    const pixels = new Uint32Array(image.data.buffer);
    let frame = 0;
    let told = 0;
    const draw = (milliseconds: number) => {
      frame = 0;
      source.decayTo?.(performance.now() / 1000);
      const largest = paint(pixels, source.values, scale);
      context.putImageData(image, 0, 0);
      if (milliseconds - told > 250 || source.quiet) {
        told = milliseconds;
        onLargest(largest);
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
  }, [source, scale, subscribe, onLargest]);
  return canvas;
}

function clampCell(cell: Cell, source: GridSource): Cell {
  const clamp = (value: number, count: number) => Math.max(0, Math.min(count - 1, value));
  return { layer: clamp(cell.layer, source.layerCount), expert: clamp(cell.expert, source.expertCount) };
}

function cellUnder(event: PointerEvent<HTMLElement>, source: GridSource): Cell {
  const box = event.currentTarget.getBoundingClientRect();
  const layer = Math.floor(((event.clientY - box.top) / box.height) * source.layerCount);
  const expert = Math.floor(((event.clientX - box.left) / box.width) * source.expertCount);
  return clampCell({ layer, expert }, source);
}

function Outline({ cell, source, className }: { cell: Cell; source: GridSource; className: string | undefined }) {
  const percent = (part: number, whole: number) => `${(part / whole) * 100}%`;
  const place = {
    left: percent(cell.expert, source.expertCount),
    top: percent(cell.layer, source.layerCount),
    width: percent(1, source.expertCount),
    height: percent(1, source.layerCount),
  };
  return <div aria-hidden className={className} style={place} />;
}

function Legend({ largest, scale }: { largest: number; scale: ScaleKind }) {
  const shown = largest >= 100 ? Math.round(largest).toString() : largest.toPrecision(3).replace(/\.?0+$/, '');
  const low = scale === 'linear' ? '0' : `≤ 1/${10 ** LOG_DECADES}`;
  return (
    <span className={style.legend} title={scale === 'linear' ? 'linear scale' : `logarithmic scale over ${LOG_DECADES} decades`}>
      <span>{low}</span>
      <span aria-hidden className={style.ramp} style={{ backgroundImage: cssGradient }} />
      <span>{largest > 0 ? shown : '–'}</span>
    </span>
  );
}
