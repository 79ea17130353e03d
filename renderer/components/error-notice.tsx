import { CircleAlert, Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import type { ErrorBody } from '../../main/contract/index.ts';
import { classes } from './classes.ts';
import style from './error-notice.module.css';

export interface NoticeProps {
  tone?: 'info' | 'warn' | 'bad';
  title: ReactNode;
  /** what to do */
  children?: ReactNode;
  /** the buttons that do it */
  actions?: ReactNode;
  className?: string | undefined;
}

const icons = { info: Info, warn: TriangleAlert, bad: CircleAlert };

/** Something the reader should know, in place. */
export function Notice({ tone = 'info', title, children, actions, className }: NoticeProps) {
  const Icon = icons[tone];
  return (
    <div className={classes(style.notice, style[tone], className)} role={tone === 'bad' ? 'alert' : 'status'}>
      <Icon size={16} aria-hidden className={style.icon} />
      <div className={style.text}>
        <div className={style.title}>{title}</div>
        {children && <div className={style.more}>{children}</div>}
      </div>
      {actions && <div className={style.actions}>{actions}</div>}
    </div>
  );
}

/** An error of the core: what happened with its numbers (the message), its code, and the buttons that help. */
export function ErrorNotice({
  error,
  advice,
  actions,
  className,
}: {
  error: ErrorBody;
  advice?: ReactNode;
  actions?: ReactNode;
  className?: string | undefined;
}) {
  return (
    <Notice tone="bad" title={error.message} actions={actions} className={className}>
      {advice} <code className={style.code}>{error.code}</code>
    </Notice>
  );
}
