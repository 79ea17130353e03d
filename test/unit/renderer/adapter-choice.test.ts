import { describe, expect, it } from 'vitest';
import type { ModelAdapter } from '../../../main/contract/index.ts';
import { adapterRows, withAdapter } from '../../../renderer/pages/chat/adapter-choice.ts';

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
