import { useEffect, useRef, useState } from 'react';
import { type ErrorBody, type ModelAdapter, type TrainingRun, toErrorBody } from '../../../../main/contract/index.ts';
import { useStores } from '../../../stores/index.tsx';
import { useTicket } from '../use-ticket.ts';

export interface Answer {
  text: string;
  /** tokens a second, when it has ended */
  speed: number | null;
  running: boolean;
}

type Side = 'base' | 'tuned';

const MOST_TOKENS = 256;
const empty: Answer = { text: '', speed: null, running: false };
let last = 0;

/** Answers of the base and of the run's model at this step: of the base with an adapter on, or of a merged model (`isMerged`) where no adapter file holds what was trained. */
export function useTwoAnswers(run: TrainingRun, step: number) {
  const { client, adapters } = useStores();
  const preparing = useTicket();
  const [answers, setAnswers] = useState<Record<Side, Answer>>({ base: empty, tuned: empty });
  const [error, setError] = useState<ErrorBody | null>(null);
  const [isMerged, setIsMerged] = useState(false);
  const tickets = useRef<string[]>([]);
  const change = (side: Side, of: (answer: Answer) => Answer) => setAnswers((before) => ({ ...before, [side]: of(before[side]) }));
  const stop = () => {
    for (const ticket of tickets.current) client.call('trials.cancel', { ticket }).catch(() => {}); // it has ended already
    preparing.cancel();
  };
  const leave = () => {
    stop();
    client.call('training.release', { id: run.id, step }).catch(() => {}); // the connection is gone, or the run
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: when the component goes
  useEffect(() => leave, []);

  const streamed = async (side: Side, question: string, on: { id: string; scale: number }[]) => {
    const ticket = `side-${Date.now()}-${last++}`;
    tickets.current.push(ticket);
    const unsubscribe = client.on(
      'trials.delta',
      (delta) => delta.ticket === ticket && change(side, (before) => ({ ...before, text: before.text + delta.text })),
    );
    try {
      const input = { chat: { messages: [{ role: 'user' as const, content: question }] } };
      const parameters = { adapters: on, maxTokens: MOST_TOKENS, sampling: { temperature: 0 } };
      const { text, stats } = await client.call('trials.run', { ticket, modelId: run.modelId, input, parameters });
      change(side, () => ({ text, speed: stats.tokensPerSecond, running: false }));
    } finally {
      unsubscribe();
      change(side, (before) => ({ ...before, running: false }));
    }
  };
  const merged = async (question: string) => {
    let unsubscribe = () => {};
    try {
      const { text, tokensPerSecond } = await preparing.run((ticket) => {
        unsubscribe = client.on(
          'training.answer',
          (told) => told.ticket === ticket && change('tuned', (before) => ({ ...before, text: before.text + told.text })),
        );
        return client.call('training.ask', { id: run.id, step, question, maxTokens: MOST_TOKENS, ticket });
      });
      change('tuned', () => ({ text, speed: tokensPerSecond, running: false }));
    } finally {
      unsubscribe();
      change('tuned', (before) => ({ ...before, running: false }));
    }
  };
  /** null: no adapter file holds what was trained */
  const findAdapter = async (): Promise<ModelAdapter | null> => {
    if (isMerged) return null;
    try {
      return await preparing.run((ticket) => adapters.getState().addFromRun(run, step, ticket));
    } catch (thrown) {
      if (toErrorBody(thrown).code !== 'model.unsupported') throw thrown;
      setIsMerged(true);
      return null;
    }
  };
  const ask = async (question: string) => {
    setError(null);
    tickets.current = [];
    try {
      const adapter = await findAdapter();
      setAnswers({ base: { ...empty, running: true }, tuned: { ...empty, running: true } });
      const tuned = adapter ? streamed('tuned', question, [{ id: adapter.id, scale: 1 }]) : merged(question);
      await Promise.all([streamed('base', question, []), tuned]);
    } catch (thrown) {
      const body = toErrorBody(thrown);
      if (body.code !== 'cancelled') setError(body);
    }
  };
  return { answers, ask, stop, isMerged, preparing, error };
}
