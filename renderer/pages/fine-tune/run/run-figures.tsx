// The newest figures of a run, what became of its rows, whether everything moved, and where the guardian stepped in.
import type { TrainingRun } from '../../../../main/contract/index.ts';
import { Figures, format, Notice } from '../../../components/index.ts';
import { dataText, lossText, movedText } from '../run-texts.ts';
import style from './run.module.css';
import type { RunHistory } from './run-history.ts';

const figure = (label: string, value: number | null | undefined, text: (value: number) => string) => {
  return {
    label,
    value: value === null || value === undefined ? '–' : text(value),
    title: value === null || value === undefined ? 'none yet' : format.exact(value),
  };
};

/** numbers of experts whose losses all have room in a figure */
const MOST_COUNTS = 8;

/** The newest validation loss with each number of experts, where it was asked for. */
function usedCountsFigure({ usedCounts, validations }: RunHistory) {
  const losses = (validations.at(-1)?.byExpertUsedCount ?? []).map(({ loss }) => lossText(loss));
  const [first, last] = [usedCounts[0], usedCounts.at(-1)];
  if (first === undefined || last === undefined) return [];
  const value = losses.length > MOST_COUNTS ? `${losses[0]} to ${losses.at(-1)}` : losses.join(' · ');
  return [{ label: `with ${first} to ${last} experts a token`, value, title: 'the newest validation loss with each number' }];
}

/** Of a run that is not at work speed and memory are those of its last step. */
export function RunFigures({ run: { progress, steps, trained }, history }: { run: TrainingRun; history: RunHistory }) {
  const last = history.points.at(-1);
  return (
    <Figures
      figures={[
        { label: 'step', value: `${format.exact(progress.step)} of ${format.exact(steps)}` },
        figure('training loss', progress.loss, lossText),
        figure('validation loss', progress.validationLoss, lossText),
        ...usedCountsFigure(history),
        ...(history.isOfPairs ? [figure('pairs the right way', last?.preference?.accuracy, format.percent)] : []),
        figure('tokens a second', progress.tokensPerSecond ?? last?.tokensPerSecond, format.count),
        figure('memory', progress.memoryBytes ?? last?.memoryBytes, format.bytes),
        figure('parameters trained', trained?.parameters, format.count),
        figure('tensors', trained?.tensors, format.exact),
        figure('optimiser remembers', trained?.optimiserBytes, format.bytes),
      ]}
    />
  );
}

export function Moved({ run }: { run: TrainingRun }) {
  const moved = movedText(run);
  if (moved === null) return null;
  if (moved.good) return <p className={style.waiting}>{moved.text}</p>;
  return (
    <Notice tone="warn" title="Not everything moved">
      {moved.text}
    </Notice>
  );
}

export function RunData({ history: { data } }: { history: RunHistory }) {
  if (data === null) return null;
  const { text, looks } = dataText(data);
  if (looks.length === 0) return <p className={style.waiting}>{text}</p>;
  return (
    <Notice tone="warn" title={text}>
      <ul>
        {looks.map((look) => (
          <li key={look}>{look}</li>
        ))}
      </ul>
    </Notice>
  );
}

const ACTIONS = { 'go-on': 'went on', skip: 'left out', 'roll-back': 'went back' } as const;

/** Steps that were not let pass, or said to be odd; the newest first. */
export function Guardian({ history: { interventions } }: { history: RunHistory }) {
  if (interventions.length === 0) return null;
  const lines = interventions.slice(-5).reverse();
  return (
    <Notice tone="warn" title={`The guardian spoke up ${interventions.length === 1 ? 'once' : `${interventions.length} times`}`}>
      <ul>
        {lines.map(({ step, action, reason }) => (
          <li key={`${step} ${action}`}>
            Step {step}: {ACTIONS[action]}: {reason}
          </li>
        ))}
      </ul>
    </Notice>
  );
}
