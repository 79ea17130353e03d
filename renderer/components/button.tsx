import type { LucideIcon } from 'lucide-react';
import { LoaderCircle } from 'lucide-react';
import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react';
import style from './button.module.css';
import { classes } from './classes.ts';
import { ariaKeys } from './keys.ts';
import { Tooltip } from './tooltip.tsx';

type NativeButton = Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'type'> & { ref?: Ref<HTMLButtonElement> | undefined };

export interface ButtonProps extends NativeButton {
  variant?: 'plain' | 'primary' | 'danger' | 'quiet';
  size?: 'small' | 'medium';
  icon?: LucideIcon | undefined;
  /** the action runs: disabled, with a turning icon */
  busy?: boolean | undefined;
  keys?: string | undefined;
  /** shown on hover and focus */
  hint?: ReactNode;
  submit?: boolean;
}

export function Button(props: ButtonProps) {
  const { variant = 'plain', size = 'medium', icon, busy, keys, hint, submit, className, children, disabled, ...rest } = props;
  const Icon = busy ? LoaderCircle : icon;
  const button = (
    <button
      {...rest}
      type={submit ? 'submit' : 'button'}
      className={classes(style.button, style[variant], style[size], className)}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      aria-keyshortcuts={keys ? ariaKeys(keys) : undefined}
    >
      {Icon && <Icon size={14} aria-hidden className={classes(busy && style.turning)} />}
      {children}
    </button>
  );
  if (!hint && !keys) return button;
  return (
    <Tooltip content={hint ?? children} keys={keys}>
      {button}
    </Tooltip>
  );
}

export interface IconButtonProps extends Omit<NativeButton, 'children'> {
  /** the accessible name, and the tooltip */
  label: string;
  icon: LucideIcon;
  keys?: string | undefined;
  size?: 'small' | 'medium';
  variant?: 'quiet' | 'plain' | 'primary' | 'danger';
  /** for toggles: becomes `aria-pressed` */
  pressed?: boolean | undefined;
  side?: 'top' | 'right' | 'bottom' | 'left';
  submit?: boolean;
}

export function IconButton(props: IconButtonProps) {
  const { label, icon: Icon, keys, size = 'medium', variant = 'quiet', pressed, side, submit, className, ...rest } = props;
  return (
    <Tooltip content={label} keys={keys} side={side ?? 'top'}>
      <button
        {...rest}
        type={submit ? 'submit' : 'button'}
        className={classes(style.button, style.icon, style[variant], style[size], pressed && style.pressed, className)}
        aria-label={label}
        aria-pressed={pressed}
        aria-keyshortcuts={keys ? ariaKeys(keys) : undefined}
      >
        <Icon size={size === 'small' ? 14 : 16} aria-hidden />
      </button>
    </Tooltip>
  );
}
