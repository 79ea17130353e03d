import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Split, splitBlocks } from '../../../renderer/markdown/blocks.ts';
import { normaliseMath } from '../../../renderer/markdown/dollars.ts';
import { LruCache } from '../../../renderer/markdown/lru.ts';

const pieces = [
  '# h\n',
  'para',
  '\n',
  '\n\n',
  '- a\n',
  '  - b\n',
  '1. x\n',
  '```\n',
  'code\n',
  '> q\n',
  '|a|b|\n|-|-|\n',
  '$$\n',
  'x^2',
  '#',
  '---\n',
  '===\n',
  '    ',
  '<b>',
  ' ',
];
const text = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((parts) => parts.join(''));

describe('splitBlocks', () => {
  it('loses nothing: the blocks joined are the text', () => {
    fc.assert(fc.property(text, (whole) => splitBlocks(whole).blocks.join('') === whole || whole.trim() === ''));
  });

  it('gives the same blocks for a streamed text as for the whole one', () => {
    fc.assert(
      fc.property(text, (whole) => {
        let split: Split | null = null;
        for (let end = 1; end <= whole.length; end += 1) split = splitBlocks(whole.slice(0, end), split);
        expect(split?.blocks ?? []).toEqual(splitBlocks(whole).blocks);
      }),
      { numRuns: 60 },
    );
  });

  it('keeps all but the last two blocks as they are', () => {
    const before = splitBlocks('one\n\ntwo\n\nthree\n\nfour');
    const after = splitBlocks('one\n\ntwo\n\nthree\n\nfour and more', before);
    expect(after.blocks).toEqual(['one\n\n', 'two\n\n', 'three\n\n', 'four and more']);
    expect(after.blocks[0]).toBe(before.blocks[0]);
  });

  it('starts anew for another text', () => {
    expect(splitBlocks('a\n\nb', splitBlocks('one\n\ntwo\n\nthree')).blocks).toEqual(['a\n\n', 'b']);
  });

  it('says when blocks refer to each other', () => {
    expect(splitBlocks('[a][1]\n\n[1]: https://example.org').linked).toBe(true);
    expect(splitBlocks('a\n\nb').linked).toBe(false);
  });
});

describe('normaliseMath', () => {
  it.each([
    ['costs $5 and $10', 'costs \\$5 and \\$10'],
    ['the score $s = Wx$ is', 'the score $s = Wx$ is'],
    ['\\(a+b\\)', '$a+b$'],
    ['\\[a\\]', '\n$$\na\n$$\n'],
    ['`$x` and $y$', '`$x` and $y$'],
    ['```sh\necho $HOME $PATH\n```\n$5', '```sh\necho $HOME $PATH\n```\n\\$5'],
    ['$$\nx\n$$', '$$\nx\n$$'],
    ['already \\$5', 'already \\$5'],
    ['no dollars', 'no dollars'],
  ])('%j becomes %j', (given, wanted) => {
    expect(normaliseMath(given)).toBe(wanted);
  });

  it('takes linear time for many dollars and backticks', () => {
    const start = performance.now();
    normaliseMath('$ ` \\( \\[ '.repeat(5000));
    // A quadratic pattern takes tens of seconds here; the mark leaves room for a busy machine.
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe('LruCache', () => {
  it('drops what was not asked for the longest', () => {
    const cache = new LruCache<string>(2);
    cache.get('a', () => 'A');
    cache.get('b', () => 'B');
    cache.get('a', () => 'not made');
    cache.get('c', () => 'C');
    expect(cache.get('a', () => 'made again')).toBe('A');
    expect(cache.get('b', () => 'made again')).toBe('made again');
  });
});
