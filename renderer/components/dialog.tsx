import { X } from 'lucide-react';
import { AlertDialog, Dialog as Radix } from 'radix-ui';
import { type ReactNode, useRef } from 'react';
import { Button } from './button.tsx';
import { classes } from './classes.ts';
import style from './dialog.module.css';

export interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  description?: ReactNode;
  /** buttons, the main one last */
  footer?: ReactNode;
  width?: 'small' | 'medium' | 'large';
  children?: ReactNode;
}

/**
 * For `onCloseAutoFocus`: gives the focus back to where it was before the dialog opened, which Radix does only for dialogs with a trigger of their own.
 * What had it is asked while rendering: afterwards a field of the dialog may have it already.
 */
function useFocusReturn(open: boolean): (event: Event) => void {
  const opener = useRef<Element | null>(null);
  const wasOpen = useRef(false);
  if (open && !wasOpen.current) opener.current = document.activeElement;
  wasOpen.current = open;
  return (event) => {
    event.preventDefault();
    if (opener.current instanceof HTMLElement) opener.current.focus();
  };
}

export function Dialog({ open, onOpenChange, title, description, footer, width = 'medium', children }: DialogProps) {
  const onCloseAutoFocus = useFocusReturn(open);
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal>
        <Radix.Overlay className={style.overlay} />
        <Radix.Content
          className={classes(style.content, style[width])}
          onCloseAutoFocus={onCloseAutoFocus}
          {...(description ? {} : { 'aria-describedby': undefined })}
        >
          <div className={style.head}>
            <Radix.Title className={style.title}>{title}</Radix.Title>
          </div>
          <div className={style.body}>
            {description && <Radix.Description className={style.description}>{description}</Radix.Description>}
            {children}
          </div>
          {footer && <div className={style.footer}>{footer}</div>}
          {/* Last, so that the first focus goes to what the dialog is about. */}
          <Radix.Close className={style.close} aria-label="Close" title="Close (Esc)">
            <X size={14} aria-hidden />
          </Radix.Close>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export interface ConfirmDialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  /** what will happen, with the numbers, and whether it can be undone */
  description: ReactNode;
  /** the verb: `Delete`, `Restart` */
  confirm: string;
  danger?: boolean;
  onConfirm: () => void;
}

/** Asks before something that can't be undone; Escape and the first focus are on the safe side. */
export function ConfirmDialog({ open, onOpenChange, title, description, confirm, danger, onConfirm }: ConfirmDialogProps) {
  const onCloseAutoFocus = useFocusReturn(open);
  return (
    <AlertDialog.Root open={open} onOpenChange={onOpenChange}>
      <AlertDialog.Portal>
        <AlertDialog.Overlay className={style.overlay} />
        <AlertDialog.Content className={classes(style.content, style.small)} onCloseAutoFocus={onCloseAutoFocus}>
          <div className={style.head}>
            <AlertDialog.Title className={style.title}>{title}</AlertDialog.Title>
          </div>
          <div className={style.body}>
            <AlertDialog.Description asChild>
              <div className={style.description}>{description}</div>
            </AlertDialog.Description>
          </div>
          <div className={style.footer}>
            <AlertDialog.Cancel asChild>
              <Button>Cancel</Button>
            </AlertDialog.Cancel>
            <AlertDialog.Action asChild>
              <Button variant={danger ? 'danger' : 'primary'} onClick={onConfirm}>
                {confirm}
              </Button>
            </AlertDialog.Action>
          </div>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
