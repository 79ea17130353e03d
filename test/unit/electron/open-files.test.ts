import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesOfArguments, OpenFiles } from '../../../electron/open-files.ts';

describe('filesOfArguments', () => {
  it('takes GGUF files only, made absolute', () => {
    const parameters = ['--flag', 'model.gguf', '/models/B.GGUF', 'notes.txt', '--path=x.gguf', '-x.gguf'];
    expect(filesOfArguments(parameters, '/home/me')).toEqual([resolve('/home/me', 'model.gguf'), '/models/B.GGUF']);
  });
});

describe('OpenFiles', () => {
  it('keeps files until a page is there, then delivers them in order', () => {
    const files = new OpenFiles();
    const delivered: string[] = [];
    files.open('a');
    files.open('b');
    expect(delivered).toEqual([]);
    files.connect((path) => delivered.push(path));
    files.open('c');
    expect(delivered).toEqual(['a', 'b', 'c']);
  });

  it('delivers a file once, also to a page that comes later', () => {
    const files = new OpenFiles();
    const first: string[] = [];
    const second: string[] = [];
    files.open('a');
    files.connect((path) => first.push(path));
    files.disconnect();
    files.open('b');
    files.connect((path) => second.push(path));
    expect([first, second]).toEqual([['a'], ['b']]);
  });
});
