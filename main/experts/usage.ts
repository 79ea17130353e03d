// Counters of how often, and with what weight, each expert of each MoE layer was chosen.
import { decodeCells } from '../contract/experts.ts';
import type { Usage } from '../contract/index.ts';
import type { RoutingFrame } from '../engine/engine.ts';
import type { ExpertUsage } from '../generation/generation.ts';

export type UsageShape = Pick<ExpertUsage, 'moeLayers' | 'expertCount' | 'expertUsedCount'>;

export function sameShape(a: UsageShape, b: UsageShape): boolean {
  return a.expertCount === b.expertCount && a.expertUsedCount === b.expertUsedCount && a.moeLayers.join() === b.moeLayers.join();
}

/** Cells are moeLayers.length x expertCount, row-major. */
export class UsageCounter implements ExpertUsage {
  readonly moeLayers: number[];
  readonly expertCount: number;
  readonly expertUsedCount: number;
  readonly counts: Float64Array;
  readonly weights: Float64Array;
  tokens = 0;

  constructor(shape: UsageShape) {
    this.moeLayers = shape.moeLayers;
    this.expertCount = shape.expertCount;
    this.expertUsedCount = shape.expertUsedCount;
    this.counts = new Float64Array(shape.moeLayers.length * shape.expertCount);
    this.weights = new Float64Array(this.counts.length);
  }

  /** Adds the increments of a frame. */
  add(frame: RoutingFrame): void {
    if (frame.layerCount !== this.moeLayers.length || frame.expertCount !== this.expertCount) {
      throw new Error(`a frame of ${frame.layerCount} x ${frame.expertCount} cells for a model of ${this.moeLayers.length} x ${this.expertCount}`);
    }
    this.tokens += frame.tokens;
    decodeCells(frame.cells, (cell, count, weightSum) => {
      this.counts[cell] = (this.counts[cell] ?? 0) + count;
      this.weights[cell] = (this.weights[cell] ?? 0) + weightSum;
    });
  }

  /** Adds another's counters; they must have the same shape. */
  merge(other: ExpertUsage): void {
    if (!sameShape(this, other)) throw new Error('usage of models of different shape cannot be added');
    this.tokens += other.tokens;
    for (let cell = 0; cell < this.counts.length; cell++) {
      this.counts[cell] = (this.counts[cell] ?? 0) + (other.counts[cell] ?? 0);
      this.weights[cell] = (this.weights[cell] ?? 0) + (other.weights[cell] ?? 0);
    }
  }
}

export function toUsage(modelId: string, usage: ExpertUsage): Usage {
  const { moeLayers, expertCount, expertUsedCount, tokens } = usage;
  return { modelId, moeLayers, expertCount, expertUsedCount, tokens, counts: Array.from(usage.counts), weights: Array.from(usage.weights) };
}

/** Counters of several models do not add up: the sum is over those parts, oldest first, that are of the last one's model. Null when there are none. */
export function sumOfLatestModel(parts: readonly { modelId: string; usage: ExpertUsage }[]): Usage | null {
  const latest = parts.at(-1);
  if (latest === undefined) return null;
  const sum = new UsageCounter(latest.usage);
  for (const { modelId, usage } of parts) if (modelId === latest.modelId && sameShape(usage, latest.usage)) sum.merge(usage);
  return toUsage(latest.modelId, sum);
}
