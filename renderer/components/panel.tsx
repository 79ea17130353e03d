import type { ReactNode } from 'react';
import { useId } from 'react';
import { classes } from './classes.ts';
import style from './panel.module.css';

/** A titled part of a page. */
export function Section({ title, hint, actions, children, id }: { title: string; hint?: ReactNode; actions?: ReactNode; children: ReactNode; id?: string }) {
  const headingId = useId();
  return (
    <section className={style.section} aria-labelledby={headingId} id={id}>
      <header className={style.head}>
        <div>
          <h2 className={style.title} id={headingId}>
            {title}
          </h2>
          {hint && <div className={style.hint}>{hint}</div>}
        </div>
        {actions && <div className={style.actions}>{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** A framed box. */
export function Card({ children, className }: { children: ReactNode; className?: string | undefined }) {
  return <div className={classes(style.card, className)}>{children}</div>;
}

/** Label and figure pairs; `title` gives the full precision. */
export function Figures({ figures }: { figures: readonly { label: string; value: ReactNode; title?: string }[] }) {
  return (
    <dl className={style.figures}>
      {figures.map((figure) => (
        <div key={figure.label} title={figure.title}>
          <dt>{figure.label}</dt>
          <dd>{figure.value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The frame of a page that scrolls as a whole: heading, actions, content. */
export function PageFrame({ title, hint, actions, children }: { title: string; hint?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <div className={style.page}>
      <div className={style.pageInner}>
        <header className={style.pageHead}>
          <div>
            <h1 className={style.pageTitle}>{title}</h1>
            {hint && <div className={style.hint}>{hint}</div>}
          </div>
          {actions && <div className={style.actions}>{actions}</div>}
        </header>
        {children}
      </div>
    </div>
  );
}
