// Figures of the expert store over time, from its counters.
import type { ExpertStore } from '../../../main/contract/index.ts';

/** Samples kept: ten minutes at two a second. */
const KEPT = 1200;

export interface PlacementRates {
  /** 0..1 of the uses since the sample before; null: there were none */
  hitRate: number | null;
  /** bytes per second read from disk */
  readRate: number;
  /** threads that did nothing but wait for the disk, on average */
  waiting: number;
}

/** times in seconds, and what is drawn over them */
export type PlacementSeries = [times: number[], hitRates: (number | null)[], readRates: number[]];

const usesOf = ({ hits, late, misses }: Pick<ExpertStore, 'hits' | 'late' | 'misses'>) => hits + late + misses;

/** The share of uses that found their expert in RAM; null: no uses. */
export function hitRateOf(counters: Pick<ExpertStore, 'hits' | 'late' | 'misses'>): number | null {
  const uses = usesOf(counters);
  return uses === 0 ? null : counters.hits / uses;
}

export class PlacementHistory {
  readonly series: PlacementSeries = [[], [], []];
  /** when RAM or policy were changed, seconds, and to what */
  readonly changes: { time: number; text: string }[] = [];
  latest: PlacementRates | null = null;
  #before: { time: number; store: ExpertStore } | null = null;

  /** `time`: seconds. Counters that fell begin a new history: the model was loaded again. */
  add(store: ExpertStore, time: number): void {
    const before = this.#before;
    if (before && (usesOf(store) < usesOf(before.store) || store.bytesRead < before.store.bytesRead)) this.#restart();
    else if (before && time > before.time) this.#addRates(this.#rates(before, store, time), time);
    this.#before = { time, store };
  }

  changed(text: string, time: number): void {
    this.changes.push({ time, text });
  }

  #rates(before: { time: number; store: ExpertStore }, store: ExpertStore, time: number): PlacementRates {
    const seconds = time - before.time;
    const less = (key: 'hits' | 'late' | 'misses') => store[key] - before.store[key];
    return {
      hitRate: hitRateOf({ hits: less('hits'), late: less('late'), misses: less('misses') }),
      readRate: (store.bytesRead - before.store.bytesRead) / seconds,
      waiting: (store.stalledMilliseconds - before.store.stalledMilliseconds) / 1000 / seconds,
    };
  }

  #addRates(rates: PlacementRates, time: number): void {
    this.latest = rates;
    const [times, hitRates, readRates] = this.series;
    times.push(time);
    hitRates.push(rates.hitRate);
    readRates.push(rates.readRate);
    if (times.length > KEPT) for (const column of this.series) column.shift();
  }

  #restart(): void {
    for (const column of this.series) column.length = 0;
    this.changes.length = 0;
    this.latest = null;
  }
}
