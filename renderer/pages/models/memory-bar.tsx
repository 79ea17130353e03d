// Memory of one device, split into what needs it.
import { format, Meter } from '../../components/index.ts';
import style from './models.module.css';

export interface MemorySplit {
  weights: number;
  experts: number;
  kvCache: number;
  compute: number;
}

const parts = [
  { key: 'weights', label: 'weights', colour: 'var(--series-1)' },
  { key: 'experts', label: 'experts', colour: 'var(--series-2)' },
  { key: 'kvCache', label: 'KV cache', colour: 'var(--series-3)' },
  { key: 'compute', label: 'compute', colour: 'var(--series-4)' },
] as const;

export const splitTotal = (split: MemorySplit): number => split.weights + split.experts + split.kvCache + split.compute;

/** `available`: bytes free now; without it the bar shows the split alone. */
export function MemoryBar({ device, split, available, estimated = false }: { device: string; split: MemorySplit; available?: number; estimated?: boolean }) {
  const total = splitTotal(split);
  const whole = Math.max(1, available ?? total);
  const text = available === undefined ? format.bytes(total) : `${format.bytes(total)} of ${format.bytes(available)} free`;
  return (
    <div className={style.memory}>
      <div className={style.memoryHead}>
        <strong>{device}</strong>
        <span title={`${format.exact(total)} bytes`}>
          {text}
          {estimated && ' (est.)'}
        </span>
      </div>
      <Meter
        label={`Memory on ${device}`}
        text={text}
        warnAt={available === undefined ? 2 : 1}
        parts={parts.map(({ key, label, colour }) => ({ fraction: split[key] / whole, label, colour }))}
      />
      <dl className={style.split}>
        {parts
          .filter(({ key }) => split[key] > 0)
          .map(({ key, label, colour }) => (
            <div key={key} title={`${format.exact(split[key])} bytes`}>
              <dt>
                <span aria-hidden style={{ background: colour }} />
                {label}
              </dt>
              <dd>{format.bytes(split[key])}</dd>
            </div>
          ))}
      </dl>
    </div>
  );
}
