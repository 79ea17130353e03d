// The layer x expert grid, the same everywhere: one pixel a cell on a canvas, scaled up without smoothing.
import { type KeyboardEvent, type PointerEvent, type ReactNode, useState } from 'react';
import { format } from '../components/index.ts';
import { cssGradient, LOG_DECADES, type ScaleKind } from './colour-scale.ts';
import style from './expert-grid.module.css';
import { ExpertAxis, LayerAxis } from './grid-axes.tsx';
import { type GridSource, useGridPainting } from './grid-painting.ts';

export type { GridSource } from './grid-painting.ts';

export interface Cell {
  layer: number;
  expert: number;
}

export interface ExpertGridProps {
  /** accessible name */
  label: string;
  source: GridSource;
  scale: ScaleKind;
  /** block index of every row; default: the rows' numbers */
  layers?: readonly number[];
  /** one line about a cell, for the readout and screen readers */
  cellText: (cell: Cell) => string;
  /** calls the listener whenever values changed; returns the unsubscribe function */
  subscribe?: (listener: () => void) => () => void;
  /** what the brightest colour stands for; default: the largest value */
  top?: number;
  /** a value at the legend */
  valueText?: (value: number) => string;
  /** cells with a frame of their own */
  marked?: readonly Cell[];
  pinned?: Cell | null;
  /** null: the pinned cell is let go */
  onPin?: (cell: Cell | null) => void;
}

const threeDigits = (value: number) => (value >= 100 ? format.count(Math.round(value)) : value.toPrecision(3).replace(/\.?0+$/, ''));

export function ExpertGrid(props: ExpertGridProps) {
  const { source, scale, layers, cellText, subscribe, top, valueText = threeDigits, pinned = null } = props;
  const [cursor, setCursor] = useState<Cell | null>(null);
  const { canvas, largest } = useGridPainting(source, scale, subscribe, top);
  const shown = cursor ?? pinned;
  return (
    <figure className={style.figure}>
      <div className={style.plot} style={{ '--layers': source.layerCount } as React.CSSProperties /* a custom property, which CSSProperties does not list */}>
        <LayerAxis count={source.layerCount} layers={layers} />
        <Stage {...props} cursor={cursor} onCursor={setCursor}>
          <canvas ref={canvas} className={style.canvas} width={source.expertCount} height={source.layerCount} />
        </Stage>
        <ExpertAxis count={source.expertCount} />
      </div>
      <figcaption className={style.caption}>
        <output>{shown ? cellText(shown) : 'Point at a cell, or use the arrow keys.'}</output>
        <Legend largest={largest} scale={scale} valueText={valueText} />
      </figcaption>
    </figure>
  );
}

interface StageProps extends ExpertGridProps {
  cursor: Cell | null;
  onCursor: (cell: Cell | null) => void;
  children: ReactNode;
}

/** Pointer and keyboard over the cells. */
function Stage({ label, source, marked = [], pinned = null, onPin, cursor, onCursor, children }: StageProps) {
  const pin = (cell: Cell) => onPin?.(sameCell(cell, pinned) ? null : cell);
  const onKeyDown = (event: KeyboardEvent) => {
    const shown = cursor ?? pinned;
    const next = moved(event.key, shown, source);
    if (next) onCursor(next);
    else if (shown && (event.key === 'Enter' || event.key === ' ')) pin(shown);
    else return;
    event.preventDefault();
  };
  return (
    <div
      role="application"
      aria-roledescription="expert grid"
      aria-label={`${label}. Arrow keys move${onPin ? ', Enter pins a cell' : ''}.`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard's way to the cells
      tabIndex={0}
      className={style.stage}
      onKeyDown={onKeyDown}
      onPointerMove={(event) => onCursor(cellUnder(event, source))}
      onPointerLeave={() => onCursor(null)}
      onBlur={() => onCursor(null)}
      onClick={() => cursor && pin(cursor)}
    >
      {children}
      {marked.map((cell) => (
        <Outline key={`${cell.layer} ${cell.expert}`} cell={cell} source={source} className={style.marked} />
      ))}
      {pinned && <Outline cell={pinned} source={source} className={style.pinned} />}
      {cursor && <Outline cell={cursor} source={source} className={style.cursor} />}
    </div>
  );
}

const steps: Record<string, [layer: number, expert: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  Home: [0, Number.NEGATIVE_INFINITY],
  End: [0, Number.POSITIVE_INFINITY],
};

/** The cell that a key leads to; undefined for other keys. The first one leads to the first cell. */
function moved(key: string, from: Cell | null, source: GridSource): Cell | undefined {
  const step = steps[key];
  if (!step) return undefined;
  return from ? clampCell({ layer: from.layer + step[0], expert: from.expert + step[1] }, source) : { layer: 0, expert: 0 };
}

const sameCell = (a: Cell, b: Cell | null) => b !== null && a.layer === b.layer && a.expert === b.expert;

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

function Legend({ largest, scale, valueText }: { largest: number; scale: ScaleKind; valueText: (value: number) => string }) {
  const low = scale === 'linear' ? 0 : largest / 10 ** LOG_DECADES;
  return (
    <span className={style.legend} title={scale === 'linear' ? 'linear scale' : `logarithmic scale over ${LOG_DECADES} decades`}>
      <span>{scale === 'linear' || largest === 0 ? valueText(0) : `≤ ${valueText(low)}`}</span>
      <span aria-hidden className={style.ramp} style={{ backgroundImage: cssGradient }} />
      <span>{largest > 0 ? valueText(largest) : '–'}</span>
    </span>
  );
}
