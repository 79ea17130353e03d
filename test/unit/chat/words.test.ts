import BetterSqlite3 from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { searchExpression } from '../../../main/chat/search.ts';
import { titleOf, UNTITLED } from '../../../main/chat/title.ts';
import { exportFileName } from '../../../main/chat/transfer/file-name.ts';

describe('titleOf', () => {
  it('is the whole of a short message, on one line', () => {
    expect(titleOf('  Why is\n the sky\tblue? ')).toBe('Why is the sky blue?');
    expect(titleOf(' \n ')).toBe(UNTITLED);
  });

  it('cuts a long message at a word border', () => {
    const text = 'Explain to me, in simple words, how a mixture of experts model routes its tokens';
    expect(titleOf(text)).toBe('Explain to me, in simple words, how a mixture of experts…');
  });

  it('cuts a single long word, but never inside a character', () => {
    expect(titleOf('x'.repeat(100))).toBe(`${'x'.repeat(59)}…`);
    expect(titleOf('😀'.repeat(50))).toBe(`${'😀'.repeat(29)}…`);
  });

  it('is never longer than 60, never empty, and the beginning of the message', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        const title = titleOf(text);
        expect(title.length).toBeLessThanOrEqual(60);
        expect(title).not.toBe('');
        expect(title.isWellFormed()).toBe(true);
      }),
    );
  });
});

describe('searchExpression', () => {
  it('quotes every word and makes it a prefix', () => {
    expect(searchExpression('mixture of "experts')).toBe('"mixture"* "of"* """experts"*');
    expect(searchExpression(' \t ')).toBeNull();
  });

  it('is never a syntax error, whatever is typed', () => {
    const sqlite = new BetterSqlite3(':memory:');
    sqlite.exec("CREATE VIRTUAL TABLE t USING fts5 (text, prefix = '2 3'); INSERT INTO t VALUES ('some text NEAR here')");
    const search = sqlite.prepare('SELECT * FROM t WHERE t MATCH ?');
    const syntax = fc.constantFrom('"', '*', '(', ')', ':', '^', '-', '+', '{', '}', 'AND', 'OR', 'NOT', 'NEAR(', 'text:', ' ', '\0', "'", ',', '\\');
    const typed = fc.oneof(
      fc.array(syntax, { maxLength: 400 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'grapheme' }),
      fc.string({ minLength: 2000, maxLength: 3000 }),
    );
    fc.assert(
      fc.property(typed, (text) => {
        const expression = searchExpression(text);
        if (expression !== null) expect(() => search.all(expression)).not.toThrow();
      }),
      { numRuns: 400 },
    );
    sqlite.close();
  }, 30_000);
});

describe('exportFileName', () => {
  it.each([
    ['What is a/b: "x"?', 'What is a b x.md'],
    ['..', 'conversation.md'],
    ['', 'conversation.md'],
    ['../../etc/passwd', 'etc passwd.md'],
    ['CON', '_CON.md'],
    ['Größe 😀', 'Größe 😀.md'],
  ])('%j becomes %j', (title, name) => {
    expect(exportFileName(title, 'md')).toBe(name);
  });
});
