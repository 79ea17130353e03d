// What a benchmark is: our product against a baseline, alternating in one go, medians, a bar per case.
export interface Case {
  case: string;
  ours: number;
  baseline: number;
  /** of `ours` and `baseline` */
  unit: string;
  /** above 1: ours is better */
  ratio: number;
  /** the smallest ratio that passes */
  bar: number;
  ok: boolean;
}

export interface BenchContext {
  /** CPU threads that both sides use */
  threads: number;
  /** measured runs of each side, at least 5 */
  runs: number;
  /** progress, for people */
  log(text: string): void;
  /** says once how a side is run, so that it can be repeated by hand */
  command(side: string, words: string[]): void;
}

export interface Benchmark {
  /** one line */
  description: string;
  run(context: BenchContext): Promise<Case[]>;
}

export const LEAST_RUNS = 5;

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('the median of nothing');
  return (low + high) / 2;
}

export interface CaseSpec {
  case: string;
  /** one value a run */
  ours: number[];
  baseline: number[];
  unit: string;
  bar: number;
  /** default: higher, as for tokens per second */
  better?: 'higher' | 'lower';
}

/** The ratio is that of the medians. */
export function toCase(spec: CaseSpec): Case {
  const ours = median(spec.ours);
  const baseline = median(spec.baseline);
  const ratio = spec.better === 'lower' ? baseline / ours : ours / baseline;
  return { case: spec.case, ours, baseline, unit: spec.unit, ratio, bar: spec.bar, ok: ratio >= spec.bar };
}

type Side<T> = (run: number) => Promise<T>;

/**
 * Runs the sides in turn, `runs` times each, the first one changing every round: drift of the machine meets both alike.
 * Every side must have been warmed up before.
 */
export async function alternate<T>(runs: number, sides: [Side<T>, Side<T>]): Promise<[T[], T[]]>;
export async function alternate<T>(runs: number, sides: Side<T>[]): Promise<T[][]>;
export async function alternate<T>(runs: number, sides: Side<T>[]): Promise<T[][]> {
  const results = sides.map((): T[] => []);
  for (let run = 0; run < runs; run++) {
    const turn = sides.map((side, index) => ({ side, to: results[index] }));
    for (const { side, to } of run % 2 === 0 ? turn : turn.reverse()) to?.push(await side(run));
  }
  return results;
}
