// How far commands are that end with one result: JSON lines for programs, tenths on stderr for people.
import { sparingly } from '../training/run/sparingly.ts';
import { printJson, tenthsAfter } from './output.ts';

const WORDS = { data: 'reading the data', evaluation: 'evaluating', export: 'writing' };
const PATIENCE_MS = 2000;

/** `fraction`: of this part of the work, 0 to 1. */
export interface WorkProgress {
  what: keyof typeof WORDS;
  fraction: number;
}

export function progressTeller(asJson: boolean): (progress: WorkProgress) => void {
  if (asJson) return sparingly((progress: WorkProgress) => printJson({ event: 'progress', ...progress }));
  const tellers = new Map<WorkProgress['what'], ReturnType<typeof tenthsAfter>>();
  return ({ what, fraction }) => {
    const tell = tellers.get(what) ?? tenthsAfter(PATIENCE_MS, `${WORDS[what]}, `);
    tellers.set(what, tell);
    tell({ fraction });
  };
}

/** The last line of what tells its progress. */
export const printResult = (result: object) => printJson({ event: 'ended', ...result });
