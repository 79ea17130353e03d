import { useEffect, useRef, useState } from 'react';
import { type DatasetReport, type ErrorBody, type TrainEstimate, toErrorBody } from '../../../../main/contract/index.ts';
import { useStores } from '../../../stores/index.tsx';
import { type RunDraft, toRequest } from './run-draft.ts';

export interface EstimateState {
  /** the latest that was answered; null: nothing was */
  estimate: TrainEstimate | null;
  error: ErrorBody | null;
  /** memory is told first; then some of a step is computed for the time; null: what is there is of the form as it is now */
  pending: 'memory' | 'time' | null;
}

/** of no change before anything is asked: each question starts a process */
const PAUSE_MS = 600;
const nothing: EstimateState = { estimate: null, error: null, pending: null };
let lastTicket = 0;

/** Asked again whenever model, data or recipe change; null: something is missing or wrong. */
export function useEstimate(modelId: string | undefined, draft: RunDraft, report: DatasetReport | null, isSound: boolean): EstimateState {
  const { client } = useStores();
  const [state, setState] = useState<EstimateState>(nothing);
  const newest = useRef(report);
  newest.current = report;
  const isAsked = isSound && modelId !== undefined && report?.tokens != null;
  const key = isAsked ? JSON.stringify([toRequest({ ...draft, name: '' }, modelId, report), report.good, report.split, report.tokens]) : '';
  useEffect(() => {
    const { current: seen } = newest;
    if (key === '' || seen === null) {
      setState(nothing);
      return;
    }
    const [{ modelId: asked, plan }]: [ReturnType<typeof toRequest>] = JSON.parse(key);
    const { good, kinds, split, tokens } = seen;
    const ticket = `estimate-${Date.now()}-${lastTicket++}`;
    let over = false;
    const take = (change: Partial<EstimateState>) => !over && setState((before) => ({ ...before, ...change }));
    const ask = async (time: boolean) => client.call('training.estimate', { ticket, modelId: asked, plan, report: { good, kinds, split, tokens }, time });
    const askAll = async () => {
      try {
        const memory = await ask(false);
        take({ estimate: memory, error: null, pending: memory.fits ? 'time' : null });
        if (memory.fits && !over) take({ estimate: await ask(true), pending: null });
      } catch (thrown) {
        take({ estimate: null, error: toErrorBody(thrown), pending: null });
      }
    };
    take({ pending: 'memory' });
    let begun = false;
    const timer = setTimeout(() => {
      begun = true;
      void askAll();
    }, PAUSE_MS);
    return () => {
      over = true;
      clearTimeout(timer);
      if (begun) client.call('training.cancel', { ticket }).catch(() => {}); // it has ended already
    };
  }, [client, key]);
  return state;
}
