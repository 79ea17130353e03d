// The same question to the base and to the tuned model, answered at once.
import { MessagesSquare, Square } from 'lucide-react';
import { useState } from 'react';
import type { TrainingRun } from '../../../../main/contract/index.ts';
import { Button, ErrorNotice, Field, format, Section, TextArea } from '../../../components/index.ts';
import { Markdown } from '../../../markdown/markdown.tsx';
import { errorHelp } from '../../../stores/error-help.ts';
import { useStores } from '../../../stores/index.tsx';
import { TicketProgress } from '../ticket-progress.tsx';
import style from './run.module.css';
import { type Answer, useTwoAnswers } from './use-two-answers.ts';

const sides = ['base', 'tuned'] as const;

export function SideBySide({ run, step }: { run: TrainingRun; step: number }) {
  const stores = useStores();
  const [question, setQuestion] = useState('');
  const { answers, ask, stop, isMerged, preparing, error } = useTwoAnswers(run, step);
  const names = { base: 'Base', tuned: isMerged ? `Merged model of step ${step}` : `With the adapter of step ${step}` };
  const running = answers.base.running || answers.tuned.running;
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
    <Section title="Side by side" hint="The same question, the most probable tokens, before and after.">
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
      {isMerged && <p className={style.waiting}>No adapter file holds what this run trained: a merged model is made, which is kept while this view is open.</p>}
      {answers.tuned.text === '' && <TicketProgress ticket={preparing} what={isMerged ? 'Making the merged model' : 'Making the adapter'} />}
      {error && <ErrorNotice error={error} advice={errorHelp(error, stores).advice} />}
      <div className={style.sides}>
        {sides.map((side) => (
          <AnswerView key={side} name={names[side]} answer={answers[side]} />
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
