// The learning rate of each step, as the trainer takes it (native/train/descent/schedule.cpp): drawn before a run is begun.
import type { Recipe } from '../../../main/contract/index.ts';

type Schedule = Recipe['schedule'];

export const DEFAULT_RATE = 2e-4;
/** the paper's a and b: arXiv 2408.13359 */
const POWER = { a: 4, b: -0.51 };

/** step: from 0; stepTokens: of all batches of a step */
export function learningRateAt(schedule: Schedule, stepTokens: number, step: number): number {
  const { kind = 'constant', steps, learningRate: full = DEFAULT_RATE, warmupSteps: warmup = 0, decaySteps: decay = 0, finalFraction: last = 0 } = schedule;
  const undecayed = (at: number) => (kind === 'power' ? powerRate(schedule, stepTokens, Math.max(at + 1, warmup)) : full);
  if (step < warmup) return (undecayed(step) * (step + 1)) / warmup;
  const fall = (from: number, part: number) => from * (1 + part * (last - 1));
  const part = (step - warmup) / (steps - warmup);
  if (kind === 'constant') return full;
  if (kind === 'linear') return fall(full, part);
  if (kind === 'cosine') return fall(full, (1 - Math.cos(Math.PI * part)) / 2);
  const begin = steps - decay;
  return step < begin ? undecayed(step) : fall(undecayed(begin - 1), (step - begin) / decay);
}

function powerRate({ learningRate: full = DEFAULT_RATE, batchSequences = 0, powerA = POWER.a, powerB = POWER.b }: Schedule, stepTokens: number, steps: number) {
  return Math.min(full, batchSequences * powerA * (steps * stepTokens) ** powerB);
}

/** At most `most` points of the whole run: step, learning rate. */
export function learningRateCurve(schedule: Schedule, stepTokens: number, most = 200): [step: number, rate: number][] {
  const count = Math.min(most, schedule.steps);
  return Array.from({ length: count }, (_, index) => {
    const step = count === 1 ? 0 : Math.round((index * (schedule.steps - 1)) / (count - 1));
    return [step, learningRateAt(schedule, stepTokens, step)];
  });
}
