// Questions and the answers of one checkpoint.
import { MessageCircleQuestion } from 'lucide-react';
import { useState } from 'react';
import type { RunCheckpoint, TrainingRun, TrainingSample } from '../../../../main/contract/index.ts';
import { Badge, Button, type Column, Table, TextInput } from '../../../components/index.ts';
import { useStores } from '../../../stores/index.tsx';
import { TicketProgress } from '../ticket-progress.tsx';
import { useTicket } from '../use-ticket.ts';
import style from './run.module.css';

const columns: Column<TrainingSample>[] = [
  { id: 'prompt', header: 'Question', cell: ({ prompt }) => <Prompt text={prompt} />, width: '34%' },
  { id: 'expected', header: 'Right answer', cell: ({ expected }) => <span className={style.said}>{expected ?? '–'}</span>, width: '26%' },
  {
    id: 'answer',
    header: 'Answer',
    cell: (sample) => <Answer sample={sample} />,
  },
];

/** As the model sees it; what only the model reads is quiet. */
function Prompt({ text }: { text: string }) {
  const parts = text.split(/(<\|[^|>]*\|>)/);
  return (
    <span className={style.said}>
      {parts.map((part, index) => {
        const key = `${index} ${part}`;
        return part.startsWith('<|') ? (
          <small key={key} className={style.special}>
            {part}
          </small>
        ) : (
          <span key={key}>{part}</span>
        );
      })}
    </span>
  );
}

function Answer({ sample }: { sample: TrainingSample }) {
  if (sample.problem) return <span className={style.problem}>{sample.problem.message}</span>;
  return (
    <span className={style.said}>
      {sample.answer} {isRight(sample) && <Badge tone="good">right</Badge>}
    </span>
  );
}

/** Word for word: other answers may be as good, which is for the reader to say. */
const isRight = ({ expected, answer }: TrainingSample) => expected !== null && answer.trim() === expected.trim();

export function Samples({ run, checkpoint: { step, samples } }: { run: TrainingRun; checkpoint: RunCheckpoint }) {
  const { client, notices } = useStores();
  const ticket = useTicket();
  const [asked, setAsked] = useState<TrainingSample[]>([]);
  const [question, setQuestion] = useState('');
  const ask = async () => {
    const prompt = question.trim();
    if (prompt === '') return;
    try {
      const answers = await ticket.run((of) => client.call('training.sample', { id: run.id, step, prompts: [prompt], ticket: of }));
      setAsked((before) => [...answers, ...before]);
      setQuestion('');
    } catch (error) {
      notices.getState().error(error);
    }
  };
  const rows = [...asked, ...samples];
  return (
    <>
      {rows.length > 0 && (
        <Table
          caption={`Answers of step ${step}`}
          columns={columns}
          rows={rows.map((row, index) => ({ ...row, index }))}
          rowKey={({ index }) => String(index)}
        />
      )}
      <form
        className={style.ask}
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <TextInput
          aria-label={`Question to step ${step}`}
          placeholder="Ask this checkpoint something"
          value={question}
          onChange={(event) => setQuestion(event.target.value)}
        />
        <Button submit size="small" icon={MessageCircleQuestion} disabled={question.trim() === '' || ticket.fraction !== null}>
          Ask
        </Button>
      </form>
      <TicketProgress ticket={ticket} what="Answering" />
    </>
  );
}
