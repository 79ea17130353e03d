import { useCallback, useEffect, useRef, useState } from 'react';
import type { ExpertStore, Parameters } from '../../../main/contract/index.ts';
import { useStores } from '../../stores/index.tsx';
import { PlacementHistory } from './placement-history.ts';

const ASK_EVERY = 500;

export interface Placement {
  /** undefined: not known yet; null: every expert is in memory */
  store: ExpertStore | null | undefined;
  history: PlacementHistory;
  /** `text` tells the change in the chart */
  configure: (change: Omit<Parameters<'placement.configure'>, 'modelId'>, text: string) => Promise<void>;
}

/** Asks twice a second while the page is shown. */
export function usePlacement(modelId: string): Placement {
  const { client, notices } = useStores();
  const [store, setStore] = useState<ExpertStore | null | undefined>(undefined);
  const history = useRef(new PlacementHistory());
  const take = useCallback((next: ExpertStore | null) => {
    if (next) history.current.add(next, Date.now() / 1000);
    setStore(next);
  }, []);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const ask = async () => {
      const next = document.hidden ? undefined : await client.call('placement.status', { modelId }).catch(() => undefined); // the next one will tell
      if (over) return;
      if (next !== undefined) take(next);
      timer = setTimeout(() => void ask(), ASK_EVERY);
    };
    void ask();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [client, modelId, take]);
  const configure: Placement['configure'] = async (change, text) => {
    try {
      take(await client.call('placement.configure', { modelId, ...change }));
      history.current.changed(text, Date.now() / 1000);
    } catch (error) {
      notices.getState().error(error);
    }
  };
  return { store, history: history.current, configure };
}
