import { classes } from './classes.ts';
import style from './meter.module.css';

export interface MeterPart {
  /** a share of the whole, 0..1 */
  fraction: number;
  label: string;
  /** CSS colour, e.g. `var(--series-2)` */
  colour?: string;
}

export interface MeterProps {
  /** the accessible name: what is measured */
  label: string;
  /** 0..1; with `parts` their sum */
  fraction?: number;
  parts?: readonly MeterPart[];
  /** what it says in words: `12.1 of 31.0 GiB` */
  text: string;
  /** from this fraction on it is drawn as a warning */
  warnAt?: number;
  size?: 'small' | 'medium';
  className?: string | undefined;
}

/** How full something is, now. For work that ends use ProgressBar. */
export function Meter({ label, fraction, parts, text, warnAt = 0.95, size = 'medium', className }: MeterProps) {
  const total = clamp(fraction ?? parts?.reduce((sum, part) => sum + part.fraction, 0) ?? 0);
  const segments = parts ?? [{ fraction: total, label }];
  return (
    // <meter> can't be drawn in parts; the role allows no named children, so `text` says what the parts are.
    // biome-ignore lint/a11y/useSemanticElements: see above
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(total * 100)}
      aria-valuetext={text}
      className={classes(style.track, style[size], total >= warnAt && style.warn, className)}
    >
      {segments.map((part) => (
        <div
          key={part.label}
          className={style.fill}
          style={{ width: `${clamp(part.fraction) * 100}%`, background: total >= warnAt ? undefined : (part.colour ?? 'var(--accent)') }}
        />
      ))}
    </div>
  );
}

export interface ProgressBarProps {
  label: string;
  /** 0..1; undefined: it is not known how far */
  fraction: number | undefined;
  text?: string | undefined;
  className?: string | undefined;
}

export function ProgressBar({ label, fraction, text, className }: ProgressBarProps) {
  const known = fraction !== undefined;
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={known ? Math.round(clamp(fraction) * 100) : undefined}
      aria-valuetext={text}
      className={classes(style.track, style.medium, !known && style.unknown, className)}
    >
      <div className={style.fill} style={{ width: known ? `${clamp(fraction) * 100}%` : '30%', background: 'var(--accent)' }} />
    </div>
  );
}

function clamp(fraction: number): number {
  return Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
}
