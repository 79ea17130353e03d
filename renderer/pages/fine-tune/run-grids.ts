// What the grids of a run show: tokens of each expert in a step, and how far each expert's adapter has moved.
import type { Cell, GridSource } from '../../experts/expert-grid.tsx';

export interface RunGrid extends GridSource {
  /** block index of each row */
  layers: number[];
}

/** expertTokens: [layers][experts]; layers without experts have no row. Null: there are none. */
export function loadGrid(expertTokens: readonly (readonly number[])[]): RunGrid | null {
  const layers = expertTokens.flatMap((row, layer) => (row.length > 0 ? [layer] : []));
  const expertCount = Math.max(0, ...expertTokens.map((row) => row.length));
  if (expertCount === 0) return null;
  return { layerCount: layers.length, expertCount, layers, values: layers.flatMap((layer) => expertTokens[layer] ?? []), quiet: true };
}

/** `layer 3 · expert 17 · 12 tokens of this step, 2.1% of the layer` */
export function describeLoad({ values, expertCount, layers }: RunGrid, { layer, expert }: Cell, when: string): string {
  const row = layer * expertCount;
  let sum = 0;
  for (let index = 0; index < expertCount; index++) sum += values[row + index] ?? 0;
  const tokens = values[row + expert] ?? 0;
  const share = sum > 0 ? `${((tokens * 100) / sum).toFixed(1)}%` : '0%';
  return `layer ${layers[layer] ?? layer} · expert ${expert} · ${tokens} tokens ${when}, ${share} of the layer`;
}

export const MATRICES = ['gate', 'up', 'down'] as const;
export type Matrix = (typeof MATRICES)[number];
/** tensors of experts: `blk.3.ffn_gate_exps.weight`; gate and up may be one */
const EXPERT_TENSOR = /^blk\.(\d+)\.ffn_(gate_up|gate|up|down)_exps\.weight$/;

interface MovedTensor {
  tensor: string;
  /** Frobenius norms, one an expert */
  norms: readonly number[];
}

const matricesOf = (part: string): Matrix[] => (part === 'gate_up' ? ['gate', 'up'] : MATRICES.filter((matrix) => matrix === part));

/** Matrices of experts that there are adapters of. */
export function movedMatrices(tensors: readonly MovedTensor[]): Matrix[] {
  const found = new Set(tensors.flatMap(({ tensor }) => matricesOf(EXPERT_TENSOR.exec(tensor)?.[2] ?? '')));
  return MATRICES.filter((matrix) => found.has(matrix));
}

/** matrix: null takes all of an expert together: the norm of its matrices as one. Null: no expert has an adapter. */
export function movementGrid(tensors: readonly MovedTensor[], matrix: Matrix | null): RunGrid | null {
  const squares = new Map<number, number[]>();
  for (const { tensor, norms } of tensors) {
    const [, block, part = ''] = EXPERT_TENSOR.exec(tensor) ?? [];
    if (block === undefined || (matrix !== null && !matricesOf(part).includes(matrix))) continue;
    const row = squares.get(Number(block)) ?? norms.map(() => 0);
    squares.set(
      Number(block),
      norms.map((norm, expert) => (row[expert] ?? 0) + norm * norm),
    );
  }
  const layers = [...squares.keys()].sort((a, b) => a - b);
  const expertCount = squares.get(layers[0] ?? -1)?.length ?? 0;
  if (expertCount === 0) return null;
  return { layerCount: layers.length, expertCount, layers, values: layers.flatMap((layer) => (squares.get(layer) ?? []).map(Math.sqrt)), quiet: true };
}

/** Cells that have not moved at all: frozen, or without a token since the run began. */
export function unmovedCells({ values, expertCount }: RunGrid): Cell[] {
  return Array.from(values).flatMap((value, cell) => (value > 0 ? [] : [{ layer: Math.floor(cell / expertCount), expert: cell % expertCount }]));
}

export function describeMovement({ values, expertCount, layers }: RunGrid, { layer, expert }: Cell): string {
  const norm = values[layer * expertCount + expert] ?? 0;
  const far = norm > 0 ? `moved by ${norm.toPrecision(3)}` : 'has not moved';
  return `layer ${layers[layer] ?? layer} · expert ${expert} · ${far}`;
}
