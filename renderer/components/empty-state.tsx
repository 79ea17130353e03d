import type { LucideIcon } from 'lucide-react';
import type { ReactNode } from 'react';
import style from './empty-state.module.css';

/** An empty page teaches: what appears here, and the one action that makes it appear. */
export function EmptyState({ icon: Icon, title, children, action }: { icon?: LucideIcon; title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className={style.empty}>
      {Icon && <Icon size={28} strokeWidth={1.4} aria-hidden className={style.icon} />}
      <h2 className={style.title}>{title}</h2>
      {children && <div className={style.text}>{children}</div>}
      {action && <div className={style.action}>{action}</div>}
    </div>
  );
}
