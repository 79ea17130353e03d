// The same question to the base and to the base with the adapter, answered at once.
import { MessagesSquare, Square } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { type ErrorBody, type TrainingRun, toErrorBody } from '../../../../main/contract/index.ts';
import { Button, ErrorNotice, Field, format, Section, TextArea } from '../../../components/index.ts';
import { Markdown } from '../../../markdown/markdown.tsx';
import { errorHelp } from '../../../stores/error-help.ts';
import { useStores } from '../../../stores/index.tsx';
import { TicketProgress } from '../ticket-progress.tsx';
import { useTicket } from '../use-ticket.ts';
import style from './run.module.css';

interface Answer {
  text: string;
  /** tokens a second, when it has ended */
  speed: number | null;
  running: boolean;
}

const MOST_TOKENS = 256;
const sides = ['base', 'tuned'] as const;
type Side = (typeof sides)[number];
const empty: Answer = { text: '', speed: null, running: false };
let last = 0;

export function SideBySide({ run, step }: { run: TrainingRun; step: number }) {
  const stores = useStores();
  const [question, setQuestion] = useState('');
  const { answers, ask, stop, preparing, error } = useTwoAnswers(run, step);
  const running = sides.some((side) => answers[side].running);
  const button = running ? (
    <Button icon={Square} onClick={stop}>
      Stop
    </Button>
  ) : (
    <Button variant="primary" icon={MessagesSquare} disabled={question.trim() === '' || preparing.fraction !== null} onClick={() => void ask(question.trim())}>
      Ask both
    </Button>
  );
  return (
    <Section title="Side by side" hint="The same question, the most probable tokens, without and with the adapter.">
      <Field label="Question">
        {(control) => (
          <TextArea
            {...control}
            rows={2}
            value={question}
            onChange={(event) => setQuestion(event.target.value)}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' || event.shiftKey) return;
              event.preventDefault();
              if (question.trim() !== '' && !running) void ask(question.trim());
            }}
          />
        )}
      </Field>
      <div>{button}</div>
      <TicketProgress ticket={preparing} what="Making the adapter" />
      {error && <ErrorNotice error={error} advice={errorHelp(error, stores).advice} />}
      <div className={style.sides}>
        {sides.map((side) => (
          <AnswerView key={side} name={side === 'base' ? 'Base' : `With the adapter of step ${step}`} answer={answers[side]} />
        ))}
      </div>
    </Section>
  );
}

function AnswerView({ name, answer: { text, speed, running } }: { name: string; answer: Answer }) {
  return (
    <article className={style.side} aria-label={name} aria-busy={running}>
      <h3>{name}</h3>
      {text === '' ? (
        <p className={style.waiting}>{running ? 'Reading the question…' : 'Its answer appears here.'}</p>
      ) : (
        <Markdown text={text} streaming={running} />
      )}
      {speed !== null && <p className={style.waiting}>{format.rate(speed)}</p>}
    </article>
  );
}

function useTwoAnswers(run: TrainingRun, step: number) {
  const { client, adapters } = useStores();
  const preparing = useTicket();
  const [answers, setAnswers] = useState<Record<Side, Answer>>({ base: empty, tuned: empty });
  const [error, setError] = useState<ErrorBody | null>(null);
  const tickets = useRef<string[]>([]);
  const change = (side: Side, of: (answer: Answer) => Answer) => setAnswers((before) => ({ ...before, [side]: of(before[side]) }));
  const stop = () => {
    for (const ticket of tickets.current) client.call('trials.cancel', { ticket }).catch(() => {}); // it has ended already
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: when the component goes
  useEffect(() => stop, []);
  const answer = async (side: Side, question: string, on: { id: string; scale: number }[]) => {
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
  const ask = async (question: string) => {
    setError(null);
    tickets.current = [];
    try {
      const { id } = await preparing.run((ticket) => adapters.getState().addFromRun(run, step, ticket));
      setAnswers({ base: { ...empty, running: true }, tuned: { ...empty, running: true } });
      await Promise.all([answer('base', question, []), answer('tuned', question, [{ id, scale: 1 }])]);
    } catch (thrown) {
      const body = toErrorBody(thrown);
      if (body.code !== 'cancelled') setError(body);
    }
  };
  return { answers, ask, stop, preparing, error };
}
