// What is said of a run in words.
import { type DataUse, REPETITIONS_NOT_SOUGHT, type RunState, type TrainingRun } from '../../../main/contract/index.ts';
import { format, type Tone } from '../../components/index.ts';
import { isAtWork, queuedRuns } from '../../stores/training.ts';
import { placeText } from './place-text.ts';

export const stateTones: Record<RunState, Tone> = {
  queued: 'neutral',
  preparing: 'accent',
  running: 'accent',
  pausing: 'accent',
  paused: 'warn',
  stopped: 'neutral',
  done: 'good',
  failed: 'bad',
};

const stateTexts: Record<RunState, string> = {
  queued: 'queued',
  preparing: 'reading data',
  running: 'training',
  pausing: 'pausing',
  paused: 'paused',
  stopped: 'stopped',
  done: 'done',
  failed: 'failed',
};

export function stateText({ state, interrupted, preparing }: Pick<TrainingRun, 'state' | 'interrupted' | 'preparing'>): string {
  if (state === 'preparing' && preparing?.what === 'experts') return 'choosing experts';
  return state === 'paused' && interrupted ? 'interrupted' : stateTexts[state];
}

/** As the list shows them: what is at work, what waits for it in its order, and the rest, the newest first. */
export function inOrder(runs: readonly TrainingRun[]): TrainingRun[] {
  const queue = queuedRuns(runs);
  const rest = runs.filter((run) => !isAtWork(run) && run.state !== 'queued');
  return [...runs.filter(isAtWork), ...queue, ...rest];
}

/** 0..1 of what is under way; undefined: it is not known how far */
export function fractionOf({ state, preparing, progress, steps }: Pick<TrainingRun, 'state' | 'preparing' | 'progress' | 'steps'>): number | undefined {
  if (state === 'preparing') return preparing?.fraction;
  return steps > 0 ? progress.step / steps : undefined;
}

const preparationTexts = { data: 'reading the data', experts: 'choosing experts by what the data uses' };

/** `step 40 of 200 · 512 tok/s · 3 min 20 s left` */
export function progressText({ state, preparing, progress, steps }: Pick<TrainingRun, 'state' | 'preparing' | 'progress' | 'steps'>): string {
  if (state === 'preparing') return preparing === null ? 'reading the data' : `${preparationTexts[preparing.what]}, ${format.percent(preparing.fraction)}`;
  const parts = [`step ${format.exact(progress.step)} of ${format.exact(steps)}`];
  if (state === 'running') {
    if (progress.tokensPerSecond !== null) parts.push(format.rate(progress.tokensPerSecond));
    if (progress.secondsLeft !== null) parts.push(`${format.duration(progress.secondsLeft * 1000)} left`);
  }
  return parts.join(' · ');
}

/** three digits behind the point, as losses are compared by; – for none */
export const lossText = (loss: number | null | undefined): string => (loss === null || loss === undefined ? '–' : loss.toFixed(3));

export type RunAction = 'pause' | 'resume' | 'stop';

/** What can be done with a run in this state. */
export function actionsOf({ state }: Pick<TrainingRun, 'state'>): RunAction[] {
  switch (state) {
    case 'queued':
    case 'preparing':
    case 'running':
      return ['pause', 'stop'];
    case 'paused':
      return ['resume', 'stop'];
    case 'stopped':
    case 'failed':
      return ['resume'];
    default:
      return [];
  }
}

/** Whether everything that should move did; null: the run was never opened. */
export function movedText({ unmoved, trained, progress }: Pick<TrainingRun, 'unmoved' | 'trained' | 'progress'>): { good: boolean; text: string } | null {
  if (trained === null) return null;
  if (progress.step === 0) return { good: true, text: 'Checked after the first step and the second: whether everything that should move did.' };
  if (unmoved.length === 0)
    return { good: true, text: `In the first two steps every part that data reached of the ${format.exact(trained.tensors)} tensors has moved.` };
  const named = unmoved.slice(0, 3).map(({ name, expert, hasGradient }) => {
    const part = expert === null ? name : `${name}, expert ${expert}`;
    return hasGradient ? part : `${part} (without a gradient)`;
  });
  const more = unmoved.length > 3 ? ` and ${format.exact(unmoved.length - 3)} more` : '';
  return { good: false, text: `Should have moved in the first two steps and did not: ${named.join('; ')}${more}.` };
}

/** What became of the rows of a run's data: all of them in a sentence, and those that are worth a look. */
export function dataText({ files, rows, good, bad, split, badRows, cut, leftOut, duplicates, warnings }: DataUse): { text: string; looks: string[] } {
  const text = `${format.exact(rows)} rows, ${format.exact(good)} good and ${format.exact(bad)} bad; ${format.exact(split.train)} for training, ${format.exact(split.validation)} for validation.`;
  const firstOf = (reason: string) => badRows.listed.find((row) => row.reason === reason);
  const looks = [
    ...badRows.reasons.map(({ reason, text, count }) => {
      const first = firstOf(reason);
      return `${format.exact(count)} bad: ${text}${first ? ` (first: ${placeText(files, first)}, ${first.detail})` : ''}`;
    }),
    ...(cut > 0 ? [`${format.exact(cut)} cut to the most tokens that may be`] : []),
    ...(leftOut.overLong > 0 ? [`${format.exact(leftOut.overLong)} left out: more tokens than may be`] : []),
    ...(leftOut.nothingToLearn > 0 ? [`${format.exact(leftOut.nothingToLearn)} left out: nothing to learn in them`] : []),
    ...duplicates.listed
      .slice(0, 1)
      .map((row) => `${format.exact(duplicates.count)} repeated (first: ${placeText(files, row)}, as ${placeText(files, row.first)})`),
    ...(duplicates.incomplete ? [REPETITIONS_NOT_SOUGHT] : []),
    ...warnings.map(({ text, count, first }) => `${format.exact(count)} used, but worth a look: ${text} (first: ${placeText(files, first)})`),
  ];
  return { text, looks };
}
