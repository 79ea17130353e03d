import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheFolder, root } from '../../../main/setup/paths.mjs';
import { clearStamp, fingerprint, performSteps, readStamp, SetupError, writeStamp } from '../../../main/setup/steps.mjs';

const step = (name: string, done: boolean, perform = vi.fn(async () => {})) => ({ name, what: `doing ${name}`, isDone: () => done, perform });

describe('performSteps', () => {
  let said = '';
  beforeEach(() => {
    said = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said += text;
      return true;
    });
  });
  afterEach(() => vi.restoreAllMocks());

  it('performs what is not done, in order, and says so in one line each', async () => {
    const order: string[] = [];
    const steps = [
      step(
        'a',
        false,
        vi.fn(async () => void order.push('a')),
      ),
      step('b', true),
      step(
        'c',
        false,
        vi.fn(async () => void order.push('c')),
      ),
    ];
    await performSteps(steps);
    expect(order).toEqual(['a', 'c']);
    expect(steps[1]?.perform).not.toHaveBeenCalled();
    expect(said).toContain('[setup] a: doing a\n');
    expect(said).toContain('[setup] b: up to date\n');
  });

  it('can be silent about what is done', async () => {
    await performSteps([step('a', true)], { quiet: true });
    expect(said).toBe('');
  });

  it('stops at a failure', async () => {
    const later = step('later', false);
    const failing = step(
      'failing',
      false,
      vi.fn(async () => Promise.reject(new SetupError('no network'))),
    );
    await expect(performSteps([failing, later])).rejects.toThrow('no network');
    expect(later.perform).not.toHaveBeenCalled();
  });
});

describe('fingerprint', () => {
  let folder = '';
  const name = () => relative(root, folder);
  beforeEach(() => {
    mkdirSync(cacheFolder, { recursive: true });
    folder = mkdtempSync(join(cacheFolder, 'fingerprint-'));
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'a'), 'one');
    writeFileSync(join(folder, 'sub/b'), 'two');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is the same for the same content', () => {
    const before = fingerprint([name()]);
    writeFileSync(join(folder, 'a'), 'one');
    expect(fingerprint([name()])).toBe(before);
  });
  it.each([
    ['content', () => writeFileSync(join(folder, 'sub/b'), 'TWO')],
    ['a new file', () => writeFileSync(join(folder, 'c'), '')],
    ['a missing file', () => rmSync(join(folder, 'a'))],
  ])('is another after a change of %s', (_what, change) => {
    const before = fingerprint([name()]);
    change();
    expect(fingerprint([name()])).not.toBe(before);
  });
  it('does not see what is ignored', () => {
    const ignore = (path: string) => path.endsWith('/sub');
    const before = fingerprint([name()], ignore);
    writeFileSync(join(folder, 'sub/b'), 'TWO');
    expect(fingerprint([name()], ignore)).toBe(before);
  });
  it('takes a missing path as empty', () => expect(fingerprint(['no/such/folder'])).toHaveLength(64));
});

describe('stamps', () => {
  it('leave alone what a copy of node_modules made of hard links has', () => {
    const name = `stamp-test-${process.pid}`;
    const copy = join(cacheFolder, `${name}.copy`);
    try {
      writeStamp(name, 'first');
      linkSync(join(cacheFolder, `${name}.stamp`), copy);
      writeStamp(name, 'second');
      expect(readStamp(name)).toBe('second');
      expect(readFileSync(copy, 'utf8')).toBe('first');
    } finally {
      clearStamp(name);
      rmSync(copy, { force: true });
    }
  });
});
