import { expect, it } from 'vitest';
import { describeLoad, describeMovement, loadGrid, movedMatrices, movementGrid, unmovedCells } from '../../../../renderer/pages/fine-tune/run-grids.ts';

it('has a row for each layer with experts, named by its block', () => {
  const grid = loadGrid([[], [3, 1], [0, 4]]);
  expect(grid).toMatchObject({ layers: [1, 2], layerCount: 2, expertCount: 2, values: [3, 1, 0, 4] });
  expect(grid && describeLoad(grid, { layer: 0, expert: 1 }, 'of this step')).toBe('layer 1 · expert 1 · 1 tokens of this step, 25.0% of the layer');
  expect(loadGrid([[], []])).toBeNull();
});

const tensors = [
  { tensor: 'blk.1.attn_q.weight', norms: [9] },
  { tensor: 'blk.1.ffn_gate_exps.weight', norms: [3, 0] },
  { tensor: 'blk.1.ffn_down_exps.weight', norms: [4, 0] },
  { tensor: 'blk.0.ffn_gate_exps.weight', norms: [0, 2] },
  { tensor: 'blk.0.ffn_down_exps.weight', norms: [0, 0] },
];

it('takes the matrices of an expert together, or each by itself', () => {
  expect(movedMatrices(tensors)).toEqual(['gate', 'down']);
  expect(movementGrid(tensors, null)).toMatchObject({ layers: [0, 1], values: [0, 2, 5, 0] });
  expect(movementGrid(tensors, 'down')?.values).toEqual([0, 0, 4, 0]);
  expect(movementGrid([{ tensor: 'blk.0.attn_q.weight', norms: [1] }], null)).toBeNull();
});

it('counts a joint tensor of gate and up for both', () => {
  const joint = [{ tensor: 'blk.0.ffn_gate_up_exps.weight', norms: [2] }];
  expect(movedMatrices(joint)).toEqual(['gate', 'up']);
  expect(movementGrid(joint, 'up')?.values).toEqual([2]);
});

it('names experts that have not moved', () => {
  const grid = movementGrid(tensors, null);
  if (!grid) throw new Error('there are experts');
  expect(unmovedCells(grid)).toEqual([
    { layer: 0, expert: 0 },
    { layer: 1, expert: 1 },
  ]);
  expect(describeMovement(grid, { layer: 1, expert: 1 })).toBe('layer 1 · expert 1 · has not moved');
  expect(describeMovement(grid, { layer: 1, expert: 0 })).toContain('moved by 5.00');
});
