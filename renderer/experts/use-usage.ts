// React's way to the live counters of a scope.
import { useCallback, useEffect, useState } from 'react';
import type { UsageScope } from '../../main/contract/index.ts';
import { useStores } from '../stores/index.tsx';
import type { LiveUsage } from './live-usage.ts';
import type { UsageKey } from './usage-hub.ts';

export const usageKey = (scope: UsageScope): UsageKey => `${scope.kind}:${scope.id}`;

export interface LiveScope {
  /** null: nothing was counted yet */
  usage: LiveUsage | null;
  /** for the grid: every change */
  subscribe: (listener: () => void) => () => void;
  /** counts up at most `rate` times a second while figures change: draw numbers again when it does */
  version: number;
}

/** Counters of the scope, with the core's totals from before this window opened. `scope` null: none. */
export function useLiveUsage(scope: UsageScope | null, rate = 4): LiveScope {
  const { client, usage: hub } = useStores();
  const key = scope && usageKey(scope);
  const [state, setState] = useState<{ usage: LiveUsage | null; version: number }>({ usage: null, version: 0 });
  const subscribe = useCallback((listener: () => void) => (key ? hub.subscribe(key, listener) : () => {}), [hub, key]);

  useEffect(() => {
    const update = () => setState((before) => ({ usage: key && hub.get(key), version: before.version + 1 }));
    update();
    const throttled = throttle(update, 1000 / rate);
    const unsubscribe = subscribe(throttled);
    return () => {
      unsubscribe();
      throttled.cancel();
    };
  }, [hub, key, rate, subscribe]);

  const [kind, id] = [scope?.kind, scope?.id];
  useEffect(() => {
    if (!kind || !id) return;
    let current = true;
    const fetch = () =>
      client.call('experts.usage', { scope: { kind, id } }).then(
        (usage) => current && usage && hub.seed(`${kind}:${id}`, usage),
        () => {}, // the counters of this window remain; a lost connection is told by the shell
      );
    // Frames that came while there was no connection are lost: the totals tell what they held.
    const unsubscribe = client.onConnection((connected) => connected && void fetch());
    return () => {
      current = false;
      unsubscribe();
    };
  }, [client, hub, kind, id]);

  return { ...state, subscribe };
}

/** At once, then at most every `interval` ms, the last call never lost. */
function throttle(run: () => void, interval: number): (() => void) & { cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = 0;
  const call = () => {
    if (timer !== undefined) return;
    const wait = Math.max(0, last + interval - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      last = performance.now();
      run();
    }, wait);
  };
  return Object.assign(call, { cancel: () => clearTimeout(timer) });
}
