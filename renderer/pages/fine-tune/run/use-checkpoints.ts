import { useEffect, useState } from 'react';
import type { RunCheckpoint } from '../../../../main/contract/index.ts';
import { useStores } from '../../../stores/index.tsx';

const SETTLE_MS = 200;
const changing = new Set(['saved', 'sample', 'validation', 'ended']);

/** The newest first; null: the core has not answered yet. Asked again when something about them has happened. */
export function useCheckpoints(id: string): RunCheckpoint[] | null {
  const { client, notices } = useStores();
  const [checkpoints, setCheckpoints] = useState<RunCheckpoint[] | null>(null);
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const fetch = () =>
      client.call('training.checkpoints', { id }).then(
        (found) => !over && setCheckpoints(found),
        (error: unknown) => !over && notices.getState().error(error),
      );
    const unsubscribe = client.on('training.event', (told) => {
      if (told.id !== id || !changing.has(told.event.event)) return;
      clearTimeout(timer);
      timer = setTimeout(() => void fetch(), SETTLE_MS);
    });
    const disconnect = client.onConnection((connected) => connected && void fetch());
    return () => {
      over = true;
      clearTimeout(timer);
      unsubscribe();
      disconnect();
    };
  }, [client, notices, id]);
  return checkpoints;
}
