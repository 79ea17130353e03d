import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leafWithout, newestLeafUnder, pathTo, siblingsOf, subtreeOf, type TreeNode } from '../../../main/chat/tree.ts';

/** Any forest: message n hangs under some earlier message, or is a root. */
const forest = fc
  .array(fc.nat(), { minLength: 1, maxLength: 40 })
  .map((choices) => choices.map((choice, n): TreeNode => ({ id: `m${n}`, parentId: choice % (n + 1) === n ? null : `m${choice % (n + 1)}` })));
const forestAndMessage = forest.chain((messages) =>
  fc.record({ messages: fc.constant(messages), id: fc.constantFrom(...messages.map((message) => message.id)) }),
);
const parentOf = (messages: readonly TreeNode[], id: string) => messages.find((message) => message.id === id)?.parentId;

describe('pathTo', () => {
  it('begins at a root, ends at the message, and each is the parent of the next', () => {
    fc.assert(
      fc.property(forestAndMessage, ({ messages, id }) => {
        const path = pathTo(messages, id);
        expect(path[0]?.parentId).toBeNull();
        expect(path.at(-1)?.id).toBe(id);
        for (const [n, message] of path.entries()) if (n > 0) expect(message.parentId).toBe(path[n - 1]?.id);
      }),
    );
  });

  it('is empty for no leaf and for an unknown one', () => {
    expect(pathTo([{ id: 'a', parentId: null }], null)).toEqual([]);
    expect(pathTo([{ id: 'a', parentId: null }], 'b')).toEqual([]);
  });
});

describe('newestLeafUnder', () => {
  it('has no children, lies under the message, and takes the newest child at every step', () => {
    fc.assert(
      fc.property(forestAndMessage, ({ messages, id }) => {
        const leaf = newestLeafUnder(messages, id);
        expect(messages.some((message) => message.parentId === leaf)).toBe(false);
        const path = pathTo(messages, leaf).map((message) => message.id);
        expect(path).toContain(id);
        for (const step of path.slice(path.indexOf(id) + 1)) expect(siblingsOf(messages, step).at(-1)?.id).toBe(step);
      }),
    );
  });

  it('starts at the newest root for null, and is null without messages', () => {
    const messages = [
      { id: 'a', parentId: null },
      { id: 'b', parentId: null },
      { id: 'c', parentId: 'a' },
      { id: 'd', parentId: 'b' },
    ];
    expect(newestLeafUnder(messages, null)).toBe('d');
    expect(newestLeafUnder([], null)).toBeNull();
  });
});

describe('siblingsOf', () => {
  it('is every message with the same parent, in order, itself included', () => {
    fc.assert(
      fc.property(forestAndMessage, ({ messages, id }) => {
        const parent = parentOf(messages, id);
        expect(siblingsOf(messages, id)).toEqual(messages.filter((message) => message.parentId === parent));
        expect(siblingsOf(messages, id).some((message) => message.id === id)).toBe(true);
      }),
    );
  });

  it('is empty for an unknown message', () => {
    expect(siblingsOf([], 'a')).toEqual([]);
  });
});

describe('subtreeOf', () => {
  it('is exactly the messages whose path goes through the message', () => {
    fc.assert(
      fc.property(forestAndMessage, ({ messages, id }) => {
        const expected = messages.filter((message) => pathTo(messages, message.id).some((step) => step.id === id));
        expect([...subtreeOf(messages, id)]).toEqual(expected.map((message) => message.id));
      }),
    );
  });
});

describe('leafWithout', () => {
  it('is a leaf of what is left, or null when nothing is', () => {
    fc.assert(
      fc.property(forestAndMessage, fc.nat(), ({ messages, id }, choice) => {
        const leaf = messages[choice % messages.length]?.id ?? null;
        const removed = subtreeOf(messages, id);
        const left = messages.filter((message) => !removed.has(message.id));
        const next = leafWithout(messages, newestLeafUnder(messages, leaf), removed);
        if (left.length === 0) expect(next).toBeNull();
        else {
          expect(left.map((message) => message.id)).toContain(next);
          expect(left.some((message) => message.parentId === next)).toBe(false);
        }
      }),
    );
  });

  it('stays when the shown branch is not touched, and goes to the sibling otherwise', () => {
    const messages = [
      { id: 'question', parentId: null },
      { id: 'first', parentId: 'question' },
      { id: 'second', parentId: 'question' },
    ];
    expect(leafWithout(messages, 'second', new Set(['first']))).toBe('second');
    expect(leafWithout(messages, 'second', new Set(['second']))).toBe('first');
    expect(leafWithout(messages, 'second', new Set(['question', 'first', 'second']))).toBeNull();
  });
});
