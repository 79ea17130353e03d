// How balance and speed of one scope went on: at most two samples a second, those of the last half hour.
import { type LayerBalance, usageBalance } from '../../main/contract/experts-balance.ts';

/** Columns of one length; null: nothing was counted then. Time in seconds since 1970; the others are means over the layers, and tokens/s. */
export type HistorySeries = [time: number[], maximumOverMean: (number | null)[], entropyNormalised: (number | null)[], tokensPerSecond: (number | null)[]];

/** What a sample is taken of. */
export interface Counters {
  readonly layerCount: number;
  readonly expertCount: number;
  readonly values: ArrayLike<number>;
  readonly tokens: number;
}

/** seconds */
const SAMPLE_EVERY = 0.5;
/** seconds without a sample that show as a gap */
const GAP = 3;
const KEPT_SAMPLES = 3600;

export class UsageHistory {
  readonly series: HistorySeries = [[], [], [], []];
  #tokens = 0;
  #sampledAt = Number.NEGATIVE_INFINITY;

  /** Takes a sample if one is due. `now`: seconds, monotonic; `time`: seconds since 1970. */
  offer(counters: Counters, now: number, time: number): void {
    const elapsed = now - this.#sampledAt;
    if (elapsed < SAMPLE_EVERY) return;
    const { maximumOverMean, entropyNormalised } = meanBalance(balanceOf(counters));
    const afterGap = elapsed > GAP;
    if (afterGap && this.series[0].length > 0) this.#push([time - SAMPLE_EVERY, null, null, null]);
    // How long the tokens after a gap took is not known.
    const speed = afterGap ? null : Math.max(0, counters.tokens - this.#tokens) / elapsed;
    this.#push([time, maximumOverMean, entropyNormalised, speed]);
    this.#tokens = counters.tokens;
    this.#sampledAt = now;
  }

  /** The count of tokens was corrected: the difference is no speed. */
  rebase(tokens: number): void {
    this.#tokens = tokens;
  }

  #push(sample: [number, number | null, number | null, number | null]): void {
    const columns: (number | null)[][] = this.series;
    columns.forEach((column, index) => {
      column.push(sample[index] ?? null);
      if (column.length > KEPT_SAMPLES) column.shift();
    });
  }
}

function balanceOf({ layerCount, expertCount, values }: Counters): LayerBalance[] {
  return usageBalance({ moeLayers: Array.from({ length: layerCount }, (_, layer) => layer), expertCount, counts: values });
}

export interface MeanBalance {
  maximumOverMean: number | null;
  entropyNormalised: number | null;
}

/** Over the layers that counted something. */
export function meanBalance(rows: readonly LayerBalance[]): MeanBalance {
  const mean = (pick: (row: LayerBalance) => number | null) => {
    const values = rows.map(pick).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return { maximumOverMean: mean((row) => row.maximumOverMean), entropyNormalised: mean((row) => row.entropyNormalised) };
}
