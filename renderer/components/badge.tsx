import type { ReactNode } from 'react';
import style from './badge.module.css';
import { classes } from './classes.ts';

export type Tone = 'neutral' | 'accent' | 'good' | 'warn' | 'bad';

/** A short word about the state of something; the tone never carries the meaning alone. */
export function Badge({ tone = 'neutral', title, children }: { tone?: Tone; title?: string; children: ReactNode }) {
  return (
    <span className={classes(style.badge, style[tone])} title={title}>
      {children}
    </span>
  );
}

/** A dot before a word. */
export function Dot({ tone = 'neutral', pulsing }: { tone?: Tone; pulsing?: boolean }) {
  return <span className={classes(style.dot, style[tone], pulsing && style.pulsing)} aria-hidden />;
}
