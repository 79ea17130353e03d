// What the expert grid paints for tiers: 0 on disk, 1 on its way, 2 in RAM.
import type { ExpertStore } from '../../../main/contract/index.ts';
import type { Cell, GridSource } from '../../experts/expert-grid.tsx';

const value: Record<string, number> = { d: 0, m: 1, r: 2 };
const text = ['on disk', 'on its way to RAM', 'in RAM'];

export const HIGHEST_TIER = 2;
export const tierText = (tier: number): string => text[Math.round(tier)] ?? '';

export class TierGrid implements GridSource {
  readonly layerCount: number;
  readonly expertCount: number;
  readonly values: Float32Array;
  readonly quiet = true;

  constructor({ layers }: ExpertStore) {
    this.layerCount = layers.length;
    this.expertCount = layers[0]?.tiers.length ?? 0;
    this.values = new Float32Array(this.layerCount * this.expertCount);
    this.set(layers);
  }

  set(layers: ExpertStore['layers']): void {
    for (const [row, { tiers }] of layers.entries()) {
      for (let expert = 0; expert < tiers.length; expert++) this.values[row * this.expertCount + expert] = value[tiers[expert] ?? 'd'] ?? 0;
    }
  }

  /** `layer 3 · expert 17 · in RAM · 12 of 32 experts of the layer are in RAM` */
  describe({ layer, expert }: Cell, layers: ExpertStore['layers']): string {
    const row = layers[layer];
    const here = row ? [...row.tiers].filter((tier) => tier === 'r').length : 0;
    const tier = tierText(this.values[layer * this.expertCount + expert] ?? 0);
    return `layer ${row?.layer ?? layer} · expert ${expert} · ${tier} · ${here} of ${this.expertCount} experts of the layer are in RAM`;
  }
}
