import { useEffect, useMemo, useState } from 'react';
import { useStores } from '../../../stores/index.tsx';
import { RunHistory } from './run-history.ts';

/** figures beside the charts are drawn again at most so often */
const TELL_EVERY_MS = 250;
/** the core puts steps together when there are more */
const POINTS = 1000;

/** `version` counts up when the history, which changes in place, has changed. */
export function useRunHistory(id: string): { history: RunHistory; version: number } {
  const { client, notices } = useStores();
  const history = useMemo(() => ({ of: id, figures: new RunHistory() }), [id]).figures;
  const [version, setVersion] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const tell = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        setVersion((before) => before + 1);
      }, TELL_EVERY_MS);
    };
    const fetch = () =>
      client.call('training.metrics', { id, points: POINTS }).then(
        (metrics) => {
          if (over) return;
          history.take(metrics);
          tell();
        },
        (error: unknown) => !over && notices.getState().error(error),
      );
    const unsubscribe = client.on('training.event', (told) => {
      if (told.id !== id) return;
      history.add(told.event);
      tell();
    });
    // What was told while there was no connection is in the core's figures.
    const disconnect = client.onConnection((connected) => connected && void fetch());
    return () => {
      over = true;
      clearTimeout(timer);
      unsubscribe();
      disconnect();
    };
  }, [client, notices, id, history]);
  return { history, version };
}
