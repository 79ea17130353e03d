import { describe, expect, it } from 'vitest';
import type { ModelAdapter } from '../../../main/contract/index.ts';
import { adapterRows, runsToAdd, withAdapter } from '../../../renderer/pages/chat/adapter-choice.ts';
import { trainingRun } from '../../support/training.ts';

// the rows read nothing else of an adapter
const adapter = (id: string, scale: number) => ({ id, name: id.toUpperCase(), scale }) as ModelAdapter;
const adapters = [adapter('a', 0), adapter('b', 0.5)];
const known = new Set(['a', 'b', 'of-another-model']);
const shown = (choices?: { id: string; scale: number }[]) => adapterRows(adapters, choices, known).map(({ id, on, scale }) => [id, on, scale]);

describe('the adapters of a conversation', () => {
  it('are as they are set themselves, until it says otherwise', () => {
    expect(shown()).toEqual([
      ['a', false, 1],
      ['b', true, 0.5],
    ]);
    expect(shown([{ id: 'a', scale: -2 }])).toEqual([
      ['a', true, -2],
      ['b', false, 1],
    ]);
    expect(shown([])).toEqual([
      ['a', false, 1],
      ['b', false, 1],
    ]);
  });

  it('show what is gone, but not what another model has', () => {
    expect(
      shown([
        { id: 'gone', scale: 1 },
        { id: 'of-another-model', scale: 1 },
      ]).slice(2),
    ).toEqual([['gone', true, 1]]);
  });

  it('change one at a time', () => {
    const rows = adapterRows(adapters, undefined, known);
    expect(withAdapter(rows, undefined, 'a', 1)).toEqual([
      { id: 'b', scale: 0.5 },
      { id: 'a', scale: 1 },
    ]);
    expect(withAdapter(rows, undefined, 'b', 0)).toEqual([]);
    expect(withAdapter(rows, [{ id: 'gone', scale: 1 }], 'gone', 0)).toEqual([]);
    expect(withAdapter(rows, [{ id: 'of-another-model', scale: 1 }], 'a', 2)).toEqual([
      { id: 'of-another-model', scale: 1 },
      { id: 'a', scale: 2 },
    ]);
  });
});

describe('the runs whose adapters can be added', () => {
  const plan = trainingRun().plan;
  const done = (id: string, changes = {}) => trainingRun({ id, folder: `/runs/${id}`, state: 'done', ...changes });
  const whole = { ...plan, adapter: { ...plan.adapter, wholeNorms: true } };

  it('are finished ones of the model that an adapter file holds, and that are not added yet', () => {
    const runs = [done('a'), done('b', { state: 'paused' }), done('c', { modelId: 'another' }), done('d', { plan: whole }), done('e')];
    const ids = (adapters: { path: string }[]) => runsToAdd(runs, 'tiny-moe', adapters).map(({ id }) => id);
    expect(ids([])).toEqual(['a', 'e']);
    expect(ids([{ path: '/runs/a/adapters/step-00000010.gguf' }])).toEqual(['e']);
  });
});
