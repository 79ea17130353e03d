import { Tooltip as Radix } from 'radix-ui';
import type { ReactElement, ReactNode } from 'react';
import { keyNames } from './keys.ts';
import style from './tooltip.module.css';

export interface TooltipProps {
  content: ReactNode;
  /** the key combination that does the same, e.g. `mod+k` */
  keys?: string | undefined;
  side?: 'top' | 'right' | 'bottom' | 'left';
  /** one element that takes a ref and the usual handlers */
  children: ReactElement;
}

/** A hint on hover and focus. The trigger needs its own accessible name: this only describes it. */
export function Tooltip({ content, keys, side = 'top', children }: TooltipProps) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className={style.content} side={side} sideOffset={6} collisionPadding={8}>
          {content}
          {keys && <Keys keys={keys} />}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

/** Once, around the app. */
export function TooltipProvider({ children }: { children: ReactNode }) {
  return (
    <Radix.Provider delayDuration={350} skipDelayDuration={200}>
      {children}
    </Radix.Provider>
  );
}

/** A key combination as keycaps. */
export function Keys({ keys }: { keys: string }) {
  return (
    <span className={style.keys}>
      {keyNames(keys).map((name) => (
        <kbd key={name}>{name}</kbd>
      ))}
    </span>
  );
}
