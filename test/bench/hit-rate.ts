// The expert cache's policies on recorded routing, against Belady's offline optimum and LRU. Nothing is timed: the figures are counts, and repeatable.
import { withEngine } from '../../main/cli/engine-session.ts';
import type { PolicyReplay, ReplayResult } from '../../main/contract/index.ts';
import type { Benchmark, Case } from './support/benchmark.ts';
import { type TracedModel, tracedModels } from './support/traced-models.ts';

/** Slots of a layer, as a multiple of the experts that a token uses. */
const FACTORS = [1.5, 2, 3];
/** Where the bar holds. */
const BAR_FACTOR = 2;
/** Percentage points below Belady's hit rate that the cache may be with reads ahead of need. */
const POINTS = 5;
/** Times the reads of LRU that reading ahead may take. */
const MOST_READS = 1.05;

const benchmark: Benchmark = {
  description: 'hit rate of the expert cache on recorded routing, against Belady’s offline optimum; and experts read, against LRU',
  async run({ threads, log, command }) {
    const models = await tracedModels(threads, log);
    return withEngine(async (engine) => {
      const cases: Case[] = [];
      for (const model of models) {
        for (const slotsFactor of FACTORS) {
          command(`${model.name}, slots x ${slotsFactor}`, ['moebius', 'simulate', model.trace, '--slots-factor', String(slotsFactor)]);
          const result = await engine.call('experts.replay', { path: model.trace, slotsFactor, readAhead: {} });
          report(model, result, log);
          if (slotsFactor === BAR_FACTOR) cases.push(...toCases(model, result));
        }
      }
      return cases;
    });
  },
};
export default benchmark;

const percent = (row: PolicyReplay) => (row.hitRate * 100).toFixed(2);
const find = ({ policies }: ReplayResult, policy: string, ahead = false): PolicyReplay => {
  const row = policies.find((each) => each.policy === policy && each.readAhead > 0 === ahead);
  if (row === undefined) throw new Error(`${policy} was not replayed`);
  return row;
};

function report({ name }: TracedModel, result: ReplayResult, log: (text: string) => void): void {
  const belady = find(result, 'belady');
  log(`  ${name}, ${belady.slots[0]} slots a layer, ${result.tokens} tokens:`);
  for (const row of result.policies) {
    const title = row.readAhead > 0 ? `${row.policy}, reading ahead` : row.policy;
    const gap = ((row.hitRate - belady.hitRate) * 100).toFixed(2);
    log(`    ${title.padEnd(26)} ${percent(row).padStart(6)}% (${gap} to belady), ${row.readsPerToken.toFixed(2)} reads a token`);
  }
}

/**
 * Reads ahead of need may beat Belady, whose optimum is that of reading on demand; what they cost is the last case. Policies that read on demand are held against LRU only: what
 * Belady knows they cannot, and `report` tells how far the next token's experts alone would bring them (lookahead-1).
 */
function toCases({ name }: TracedModel, result: ReplayResult): Case[] {
  const [belady, lru, ahead, best] = [find(result, 'belady'), find(result, 'lru'), find(result, 'foresight', true), find(result, result.best)];
  const hits = (label: string, row: PolicyReplay, baseline: PolicyReplay, bar: number) => {
    const ratio = row.hitRate / baseline.hitRate;
    return { case: `${name}, ${label}`, ours: row.hitRate * 100, baseline: baseline.hitRate * 100, unit: '% hits', ratio, bar, ok: ratio >= bar };
  };
  const reads = (label: string, row: PolicyReplay, bar: number) => {
    const ratio = lru.readsPerToken / row.readsPerToken;
    return { case: `${name}, ${label}`, ours: row.readsPerToken, baseline: lru.readsPerToken, unit: 'reads/token', ratio, bar, ok: ratio >= bar };
  };
  return [
    hits('reading ahead against Belady', ahead, belady, (belady.hitRate - POINTS / 100) / belady.hitRate),
    hits(`on demand (${best.policy}) against LRU`, best, lru, 1),
    reads(`on demand (${best.policy}) against LRU`, best, 1),
    reads('reading ahead against LRU', ahead, 1 / MOST_READS),
  ];
}
