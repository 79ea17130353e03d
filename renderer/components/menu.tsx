import type { LucideIcon } from 'lucide-react';
import { DropdownMenu } from 'radix-ui';
import type { ReactElement } from 'react';
import { classes } from './classes.ts';
import style from './menu.module.css';
import { Keys } from './tooltip.tsx';

export interface MenuItem {
  label: string;
  icon?: LucideIcon;
  keys?: string;
  /** a second, quiet line or figure at the right */
  hint?: string;
  danger?: boolean;
  disabled?: boolean;
  run: () => void;
}

export interface MenuProps {
  /** one focusable element with its own name */
  trigger: ReactElement;
  /** `null` is a separator */
  items: (MenuItem | null)[];
  align?: 'start' | 'center' | 'end';
}

export function Menu({ trigger, items, align = 'end' }: MenuProps) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className={style.content} align={align} sideOffset={4} collisionPadding={8}>
          {items.map((item, index) =>
            item ? (
              <DropdownMenu.Item
                key={item.label}
                className={classes(style.item, item.danger && style.danger)}
                disabled={item.disabled ?? false}
                onSelect={item.run}
              >
                {item.icon ? <item.icon size={14} aria-hidden /> : <span className={style.noIcon} />}
                <span className={style.label}>{item.label}</span>
                {item.hint && <span className={style.hint}>{item.hint}</span>}
                {item.keys && <Keys keys={item.keys} />}
              </DropdownMenu.Item>
            ) : (
              // biome-ignore lint/suspicious/noArrayIndexKey: a separator has nothing but its place
              <DropdownMenu.Separator key={`separator-${index}`} className={style.separator} />
            ),
          )}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
