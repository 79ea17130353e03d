// The grid as a small picture: no axes, no readout, no keyboard.
import type { ScaleKind } from './colour-scale.ts';
import style from './expert-grid.module.css';
import { type GridSource, useGridPainting } from './grid-painting.ts';

export interface MiniGridProps {
  /** accessible name */
  label: string;
  source: GridSource;
  scale: ScaleKind;
  subscribe?: (listener: () => void) => () => void;
  top?: number;
}

/** The picture is at least so many px high. */
const MOST_SHARP_LAYERS = 28;

export function MiniGrid({ label, source, scale, subscribe, top }: MiniGridProps) {
  const { canvas } = useGridPainting(source, scale, subscribe, top);
  // Layers that are thinner than a pixel are averaged, not skipped.
  const imageRendering = source.layerCount > MOST_SHARP_LAYERS ? 'auto' : 'pixelated';
  return (
    <div role="img" aria-label={label} className={style.mini}>
      <canvas ref={canvas} className={style.canvas} width={source.expertCount} height={source.layerCount} style={{ imageRendering }} />
    </div>
  );
}
