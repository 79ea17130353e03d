import { useCallback, useEffect, useRef, useState } from 'react';
import { useStores } from '../../stores/index.tsx';

export interface Ticket {
  /** 0..1 of what is under way; null: nothing is */
  fraction: number | null;
  /** Runs a call that takes a ticket; what it rejects with is passed on. One at a time. */
  run<T>(call: (ticket: string) => Promise<T>): Promise<T>;
  cancel(): void;
}

let last = 0;

/** A long call of the core, with its progress; given up when the component goes. */
export function useTicket(): Ticket {
  const { client } = useStores();
  const [fraction, setFraction] = useState<number | null>(null);
  const running = useRef<string | null>(null);
  const cancel = useCallback(() => {
    if (running.current !== null) client.call('training.cancel', { ticket: running.current }).catch(() => {}); // it has ended already
  }, [client]);
  useEffect(() => cancel, [cancel]);
  const run = useCallback(
    async <T>(call: (ticket: string) => Promise<T>): Promise<T> => {
      const ticket = `ui-${Date.now()}-${last++}`;
      running.current = ticket;
      setFraction(0);
      const unsubscribe = client.on('training.progress', (progress) => progress.ticket === ticket && setFraction(progress.fraction));
      try {
        return await call(ticket);
      } finally {
        unsubscribe();
        running.current = null;
        setFraction(null);
      }
    },
    [client],
  );
  return { fraction, run, cancel };
}
