// What the expert grid paints: 0 on disk, 1 on its way, 2 in RAM, 2 + n with copies on n GPUs.
import type { ExpertDevices, ExpertPlacement } from '../../../main/contract/index.ts';
import type { Cell, GridSource } from '../../experts/expert-grid.tsx';
import { copiesOf, lowOf } from './device-rates.ts';

const IN_RAM = 2;
const value: Record<string, number> = { d: 0, m: 1, r: IN_RAM };
const text = ['on disk', 'on its way to RAM', 'in RAM'];

export const highestTier = (devices: ExpertDevices | null): number => IN_RAM + (devices?.devices.length ?? 0);

export function tierText(tier: number): string {
  const copies = Math.round(tier) - IN_RAM;
  return copies > 0 ? `on ${copies} ${copies === 1 ? 'GPU' : 'GPUs'}` : (text[Math.round(tier)] ?? '');
}

const countBits = (set: number): number => set.toString(2).replaceAll('0', '').length;

export class TierGrid implements GridSource {
  readonly layerCount: number;
  readonly expertCount: number;
  readonly values: Float32Array;
  readonly quiet = true;
  /** super experts that are known */
  readonly marked: readonly Cell[];
  readonly #placement: ExpertPlacement;
  /** [layer][expert] */
  readonly #copies: number[][];

  constructor(placement: ExpertPlacement) {
    const { layers } = placement.store;
    this.#placement = placement;
    this.layerCount = layers.length;
    this.expertCount = layers[0]?.tiers.length ?? 0;
    this.marked = (placement.store.superExperts ?? []).map(({ layer, expert }) => ({ layer: layers.findIndex((row) => row.layer === layer), expert }));
    this.values = new Float32Array(this.layerCount * this.expertCount);
    this.#copies = placement.devices?.layers.map(copiesOf) ?? [];
    for (const [row, { tiers }] of layers.entries()) {
      for (let expert = 0; expert < tiers.length; expert++) {
        const copies = countBits(this.#copies[row]?.[expert] ?? 0);
        this.values[row * this.expertCount + expert] = copies > 0 ? IN_RAM + copies : (value[tiers[expert] ?? 'd'] ?? 0);
      }
    }
  }

  /** `layer 3 · expert 17 · super expert · on Vulkan0, Vulkan1, in RAM · 12 of 32 experts of the layer are in RAM` */
  describe({ layer, expert }: Cell): string {
    const row = this.#placement.store.layers[layer];
    const here = row ? [...row.tiers].filter((tier) => tier === 'r').length : 0;
    const set = this.#copies[layer]?.[expert] ?? 0;
    const on = this.#placement.devices?.devices.flatMap(({ id }, i) => ((set >> i) & 1 ? [id] : [])) ?? [];
    const tier = text[value[row?.tiers[expert] ?? 'd'] ?? 0] ?? '';
    const devices = this.#placement.devices?.layers[layer];
    const low = devices && lowOf(devices)[expert] ? ' in low precision' : '';
    const where = on.length > 0 ? `on ${on.join(', ')}${low}, ${tier}` : tier;
    const one = this.#placement.store.superExperts?.find((each) => each.layer === row?.layer && each.expert === expert);
    const kind = one ? `super expert${one.protected ? ', never evicted' : ''} · ` : '';
    return `layer ${row?.layer ?? layer} · expert ${expert} · ${kind}${where} · ${here} of ${this.expertCount} experts of the layer are in RAM`;
  }
}
