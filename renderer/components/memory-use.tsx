import * as format from './format.ts';
import style from './memory-use.module.css';
import { Meter } from './meter.tsx';

export interface MemoryPart {
  label: string;
  bytes: number;
}

interface MemoryUseProps {
  device: string;
  /** of the meter: what the memory is for */
  label: string;
  /** in the order in which they are drawn; those of 0 bytes are left out of the list below */
  parts: readonly MemoryPart[];
  /** bytes free now; without it the bar shows the split alone */
  free?: number | undefined;
  estimated?: boolean;
}

/** Memory of one device, split into what needs it. */
export function MemoryUse({ device, label, parts, free, estimated = false }: MemoryUseProps) {
  const total = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const whole = Math.max(1, free ?? total);
  const text = free === undefined ? format.bytes(total) : `${format.bytes(total)} of ${format.bytes(free)} free`;
  const coloured = parts.map((part, index) => ({ ...part, colour: `var(--series-${index + 1})` }));
  return (
    <div className={style.use}>
      <div className={style.head}>
        <strong>{device}</strong>
        <span title={`${format.exact(total)} bytes`}>
          {text}
          {estimated && ' (est.)'}
        </span>
      </div>
      <Meter
        label={`${label} on ${device}`}
        text={text}
        warnAt={free === undefined ? 2 : 1}
        parts={coloured.map(({ bytes, ...part }) => ({ ...part, fraction: bytes / whole }))}
      />
      <dl className={style.parts}>
        {coloured
          .filter(({ bytes }) => bytes > 0)
          .map(({ label: part, bytes, colour }) => (
            <div key={part} title={`${format.exact(bytes)} bytes`}>
              <dt>
                <span aria-hidden style={{ background: colour }} />
                {part}
              </dt>
              <dd>{format.bytes(bytes)}</dd>
            </div>
          ))}
      </dl>
    </div>
  );
}
