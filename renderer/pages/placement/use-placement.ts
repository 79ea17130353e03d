import { useCallback, useEffect, useRef, useState } from 'react';
import type { Parameters, Placement as PlacementState } from '../../../main/contract/index.ts';
import { useStores } from '../../stores/index.tsx';
import { type DeviceRates, deviceRates, NO_RATES } from './device-rates.ts';
import { PlacementHistory } from './placement-history.ts';

const ASK_EVERY = 500;

export interface Placement {
  /** undefined: not known yet; null: every expert is in memory */
  placement: PlacementState | null | undefined;
  /** of the devices, since the look before */
  rates: DeviceRates;
  history: PlacementHistory;
  /** `text` tells the change in the chart */
  configure: (change: Omit<Parameters<'placement.configure'>, 'modelId'>, text: string) => Promise<void>;
}

/** Asks twice a second while the page is shown. */
export function usePlacement(modelId: string): Placement {
  const { client, notices } = useStores();
  const [placement, setPlacement] = useState<PlacementState | null | undefined>(undefined);
  const [rates, setRates] = useState(NO_RATES);
  const before = useRef<{ time: number; devices: PlacementState['devices'] }>({ time: 0, devices: null });
  const history = useRef(new PlacementHistory());
  const take = useCallback((next: PlacementState | null) => {
    const time = Date.now() / 1000;
    if (next) history.current.add(next.store, time);
    const { time: earlier, devices } = before.current;
    setRates(next?.devices && devices && time > earlier ? deviceRates(devices, next.devices, time - earlier) : NO_RATES);
    before.current = { time, devices: next?.devices ?? null };
    setPlacement(next);
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
  return { placement, rates, history: history.current, configure };
}
