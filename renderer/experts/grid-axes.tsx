// The numbers beside the grid; screen readers have the readout instead.
import style from './expert-grid.module.css';

/** Rows of at most 18 px in at most 480 px (expert-grid.module.css), labels at least 16 px apart. */
const LABELS_OF_LAYERS = 30;
const LABELS_OF_EXPERTS = 16;

/** Every so many are labelled: 1, 2, 4, 8, ... so that there are at most `most` labels. */
export function labelStep(count: number, most: number): number {
  let step = 1;
  while (count / step > most) step *= 2;
  return step;
}

const labelled = (count: number, most: number) => {
  const step = labelStep(count, most);
  return Array.from({ length: Math.ceil(count / step) }, (_, index) => index * step);
};

const centre = (index: number, count: number) => `${((index + 0.5) / count) * 100}%`;

export function LayerAxis({ count, layers }: { count: number; layers: readonly number[] | undefined }) {
  return (
    <div aria-hidden className={style.layerAxis}>
      {labelled(count, LABELS_OF_LAYERS).map((row) => (
        <span key={row} style={{ top: centre(row, count) }}>
          L{layers?.[row] ?? row}
        </span>
      ))}
    </div>
  );
}

export function ExpertAxis({ count }: { count: number }) {
  return (
    <div aria-hidden className={style.expertAxis}>
      {labelled(count, LABELS_OF_EXPERTS).map((expert) => (
        <span key={expert} style={{ left: centre(expert, count) }}>
          {expert === 0 ? 'expert 0' : expert}
        </span>
      ))}
    </div>
  );
}
