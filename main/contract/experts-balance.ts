// How evenly a MoE layer's router spreads its tokens: pure functions over usage counters, for core and UI alike.
import type { Usage } from './experts.ts';

export interface LayerBalance {
  /** block index */
  layer: number;
  /** tokens x experts used that were counted */
  total: number;
  /** load of the busiest expert over the mean load; 1 is perfect, expertCount the worst. Null when nothing was counted, like the three below. */
  maximumOverMean: number | null;
  /** population standard deviation over mean; 0 is perfect */
  coefficientOfVariation: number | null;
  /** Shannon entropy of the load shares, bits; log2(expertCount) is perfect */
  entropyBits: number | null;
  /** entropyBits over its maximum, 0..1; 1 when there is one expert only */
  entropyNormalised: number | null;
  /** experts without a single token; empty when nothing was counted */
  deadExperts: number[];
}

/** Balance of one layer from its counters, one per expert. */
export function layerBalance(layer: number, counts: ArrayLike<number>): LayerBalance {
  const loads = Array.from(counts);
  const total = loads.reduce((sum, load) => sum + load, 0);
  if (total === 0) return { layer, total, maximumOverMean: null, coefficientOfVariation: null, entropyBits: null, entropyNormalised: null, deadExperts: [] };
  const mean = total / loads.length;
  const variance = loads.reduce((sum, load) => sum + (load - mean) ** 2, 0) / loads.length;
  const entropyBits = loads.reduce((sum, load) => (load > 0 ? sum - (load / total) * Math.log2(load / total) : sum), 0);
  return {
    layer,
    total,
    maximumOverMean: loads.reduce((maximum, load) => Math.max(maximum, load), 0) / mean,
    coefficientOfVariation: Math.sqrt(variance) / mean,
    entropyBits,
    entropyNormalised: loads.length === 1 ? 1 : entropyBits / Math.log2(loads.length),
    deadExperts: loads.flatMap((load, expert) => (load === 0 ? [expert] : [])),
  };
}

/** Balance of every MoE layer; `counts` is row-major, moeLayers.length x expertCount. */
export function usageBalance(usage: { moeLayers: Usage['moeLayers']; expertCount: number; counts: ArrayLike<number> }): LayerBalance[] {
  const { moeLayers, expertCount, counts } = usage;
  return moeLayers.map((layer, row) =>
    layerBalance(
      layer,
      Array.from({ length: expertCount }, (_, expert) => counts[row * expertCount + expert] ?? 0),
    ),
  );
}
