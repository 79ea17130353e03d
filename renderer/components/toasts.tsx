import { CircleAlert, CircleCheck, Info, X } from 'lucide-react';
import { Toast as Radix } from 'radix-ui';
import { Button, IconButton } from './button.tsx';
import { classes } from './classes.ts';
import style from './toasts.module.css';

export interface ToastAction {
  label: string;
  run: () => void;
}

export interface ToastData {
  id: string;
  tone: 'info' | 'good' | 'bad';
  title: string;
  /** what to do */
  text?: string | undefined;
  actions?: ToastAction[] | undefined;
}

const icons = { info: Info, good: CircleCheck, bad: CircleAlert };

/** Once, in the shell. Errors stay until they are dismissed; the rest leaves after six seconds. */
export function Toasts({ toasts, onDismiss }: { toasts: readonly ToastData[]; onDismiss: (id: string) => void }) {
  return (
    <Radix.Provider duration={6000} swipeDirection="right" label="Notice">
      {toasts.map((toast) => (
        <Toast key={toast.id} toast={toast} onDismiss={() => onDismiss(toast.id)} />
      ))}
      <Radix.Viewport className={style.viewport} label="Notices ({hotkey})" />
    </Radix.Provider>
  );
}

function Toast({ toast, onDismiss }: { toast: ToastData; onDismiss: () => void }) {
  const Icon = icons[toast.tone];
  return (
    <Radix.Root
      className={classes(style.toast, style[toast.tone])}
      type={toast.tone === 'bad' ? 'foreground' : 'background'}
      {...(toast.tone === 'bad' ? { duration: Number.POSITIVE_INFINITY } : {})}
      onOpenChange={(open) => !open && onDismiss()}
    >
      <Icon size={16} aria-hidden className={style.icon} />
      <div className={style.body}>
        <Radix.Title className={style.title}>{toast.title}</Radix.Title>
        {toast.text && <Radix.Description className={style.text}>{toast.text}</Radix.Description>}
        {toast.actions && toast.actions.length > 0 && (
          <div className={style.actions}>
            {toast.actions.map((action) => (
              <Radix.Action key={action.label} asChild altText={action.label}>
                <Button size="small" onClick={action.run}>
                  {action.label}
                </Button>
              </Radix.Action>
            ))}
          </div>
        )}
      </div>
      <Radix.Close asChild>
        <IconButton label="Dismiss" icon={X} size="small" />
      </Radix.Close>
    </Radix.Root>
  );
}
