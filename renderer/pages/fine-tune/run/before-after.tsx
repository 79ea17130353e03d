// Whether it did any good: perplexity of the validation part, and the same question to the base and to the tuned model.
import { Scale } from 'lucide-react';
import { useState } from 'react';
import type { Perplexity, TrainingRun } from '../../../../main/contract/index.ts';
import { Button, EmptyState, Field, format, Section, Select } from '../../../components/index.ts';
import { useStores } from '../../../stores/index.tsx';
import { lossText } from '../run-texts.ts';
import { TicketProgress } from '../ticket-progress.tsx';
import { useTicket } from '../use-ticket.ts';
import style from './run.module.css';
import { SideBySide } from './side-by-side.tsx';
import { useCheckpoints } from './use-checkpoints.ts';

export function BeforeAfter({ run }: { run: TrainingRun }) {
  const checkpoints = useCheckpoints(run.id);
  const [chosen, setChosen] = useState<number | null>(null);
  const trained = (checkpoints ?? []).filter(({ step }) => step > 0);
  const step = trained.find((checkpoint) => checkpoint.step === chosen)?.step ?? trained[0]?.step;
  if (checkpoints === null) return <p className={style.waiting}>Asking for the checkpoints…</p>;
  if (step === undefined) {
    return (
      <EmptyState icon={Scale} title="Nothing to compare yet">
        With the first checkpoint behind step 0 the base and the tuned model stand side by side here: by perplexity, and by what they say.
      </EmptyState>
    );
  }
  const options = trained.map((checkpoint) => ({ value: String(checkpoint.step), label: `step ${checkpoint.step}` }));
  return (
    <div className={style.view}>
      <div className={style.picker}>
        <Field label="Tuned model">
          {(control) => <Select {...control} value={String(step)} onChange={(value) => setChosen(Number(value))} options={options} />}
        </Field>
      </div>
      <Measured key={`perplexity ${step}`} run={run} step={step} />
      <SideBySide key={`chat ${step}`} run={run} step={step} />
    </div>
  );
}

type Measurement = { base: Perplexity; tuned: Perplexity };

function Measured({ run, step }: { run: TrainingRun; step: number }) {
  const { client, notices } = useStores();
  const [measured, setMeasured] = useState<Measurement | null>(null);
  const ticket = useTicket();
  const measure = async () => {
    try {
      setMeasured(await ticket.run((of) => client.call('training.evaluate', { id: run.id, step, ticket: of })));
    } catch (error) {
      notices.getState().error(error);
    }
  };
  const button = (
    <Button icon={Scale} busy={ticket.fraction !== null} disabled={run.trained?.validates === false} onClick={() => void measure()}>
      Measure
    </Button>
  );
  const hint = 'How surprised a model is by the validation part, which neither has seen: lower is better. 1 would be certainty.';
  return (
    <Section title="Perplexity" hint={hint} actions={measured === null && button}>
      {run.trained?.validates === false && <p className={style.waiting}>This run kept no examples for validation.</p>}
      <TicketProgress ticket={ticket} what="Measuring" />
      {measured && <PerplexityTable {...measured} step={step} />}
    </Section>
  );
}

function PerplexityTable({ base, tuned, step }: Measurement & { step: number }) {
  const rows = [
    { name: 'base', of: base },
    { name: `step ${step}`, of: tuned },
  ];
  const most = Math.max(base.perplexity, tuned.perplexity);
  const ratio = tuned.perplexity / base.perplexity;
  return (
    <>
      <table className={style.perplexity}>
        <caption className="visually-hidden">Perplexity before and after</caption>
        <thead>
          <tr>
            <th scope="col">Model</th>
            <th scope="col">Perplexity</th>
            <th scope="col">Loss</th>
            <th scope="col">Tokens</th>
            <th aria-hidden />
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, of }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td title={String(of.perplexity)}>{of.perplexity.toPrecision(4)}</td>
              <td title={String(of.loss)}>{lossText(of.loss)}</td>
              <td>{format.exact(of.targets)}</td>
              <td aria-hidden className={style.perplexityBar}>
                <span style={{ width: `${(of.perplexity / most) * 100}%` }} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p>
        {ratio < 1
          ? `The tuned model’s is ${format.percent(ratio)} of the base’s.`
          : `The tuned model’s is ${format.percent(ratio)} of the base’s: it did not get better at this.`}
      </p>
    </>
  );
}
