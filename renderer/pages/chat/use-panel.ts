import { useCallback, useState } from 'react';

/** Whether a side panel is open: as it was left, or on a first visit if the window is at least `fromWidth` wide. */
export function usePanel(name: string, fromWidth: number): [open: boolean, setOpen: (open: boolean) => void] {
  const key = `moebius.panel.${name}`;
  const [open, setOpen] = useState(() => {
    const left = localStorage.getItem(key);
    return window.innerWidth >= fromWidth && left !== 'closed' && (left === 'open' || name === 'chats');
  });
  const change = useCallback(
    (next: boolean) => {
      localStorage.setItem(key, next ? 'open' : 'closed');
      setOpen(next);
    },
    [key],
  );
  return [open, change];
}
