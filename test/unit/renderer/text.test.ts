// @vitest-environment happy-dom
import { describe, expect, it } from 'vitest';
import { readNumber } from '../../../renderer/components/field.tsx';
import { ago, bytes, count, duration, exact, percent, rate } from '../../../renderer/components/format.ts';
import { ariaKeys, keyText } from '../../../renderer/components/keys.ts';
import { takeCredential } from '../../../renderer/core/connect.ts';
import { safeUrl } from '../../../renderer/markdown/links.ts';
import { sameParameters, withParameter, withSampling } from '../../../renderer/pages/chat/setup.ts';
import { address, parseHash } from '../../../renderer/shell/navigation.ts';

describe('numbers have at most three significant digits', () => {
  it.each([
    [bytes(0), '0 B'],
    [bytes(1536), '1.50 KiB'],
    [bytes(28_957_632), '27.6 MiB'],
    [bytes(1024 ** 3 - 1), '1.00 GiB'],
    [bytes(20e9), '18.6 GiB'],
    [count(27_132_416), '27.1M'],
    [count(999), '999'],
    [exact(27_132_416), '27,132,416'],
    [percent(0.123), '12.3%'],
    [percent(1), '100%'],
    [rate(74.234), '74.2 tok/s'],
    [duration(132.4), '132 ms'],
    [duration(2400), '2.40 s'],
    [duration(75_000), '1 min 15 s'],
    [duration(7_260_000), '2 h 1 min'],
    [ago(0, 30_000), 'now'],
    [ago(0, 3 * 3_600_000), '3 h'],
  ])('%s', (given, wanted) => {
    expect(given).toBe(wanted);
  });
});

describe('key combinations', () => {
  it('are named for the machine', () => {
    expect(keyText('mod+shift+o', false)).toBe('Ctrl+Shift+O');
    expect(keyText('mod+shift+o', true)).toBe('⌘⇧O');
    expect(ariaKeys('mod+k', false)).toBe('Control+K');
  });
});

describe('addresses', () => {
  it('survive a round trip', () => {
    const location = parseHash(address('chat', ['a/b ?'], { message: 'ü&=' }));
    expect(location.page).toBe('chat');
    expect(location.parts).toEqual(['a/b ?']);
    expect(location.query.get('message')).toBe('ü&=');
  });

  it('lead to the chat page when they are empty, and survive nonsense', () => {
    expect(parseHash('').page).toBe('chat');
    expect(parseHash('#/%E0%A4%A').page).toBe('%E0%A4%A');
  });
});

describe('the one-time token', () => {
  it('is taken out of the address', () => {
    window.location.hash = '#token=secret';
    expect(takeCredential()).toEqual({ token: 'secret' });
    expect(window.location.href).not.toContain('secret');
  });

  it('is followed by the session of the tab', () => {
    sessionStorage.setItem('moebius.session', 'kept');
    expect(takeCredential()).toEqual({ session: 'kept' });
  });
});

describe('safeUrl', () => {
  it.each(['https://example.org/a', 'http://example.org/', 'mailto:a@example.org'])('lets %s through', (url) => {
    expect(safeUrl(url)).toBe(url);
  });
  it.each([
    'javascript:alert(1)',
    ' JAVASCRIPT:alert(1)',
    'data:text/html,x',
    'file:///etc/passwd',
    '//example.org',
    '/a',
    '#x',
    '',
    'vbscript:x',
    'blob:https://a/1',
  ])('refuses %j', (url) => {
    expect(safeUrl(url)).toBeNull();
  });
});

describe('parameters', () => {
  it('set and take out one value and leave nothing empty behind', () => {
    const set = withSampling({ maxTokens: 5 }, 'temperature', 0.5);
    expect(set).toEqual({ maxTokens: 5, sampling: { temperature: 0.5 } });
    expect(withSampling(set, 'temperature', undefined)).toEqual({ maxTokens: 5 });
    expect(withParameter(set, 'maxTokens', undefined)).toEqual({ sampling: { temperature: 0.5 } });
  });

  it('are the same in any order of their keys', () => {
    expect(sameParameters({ maxTokens: 1, sampling: { topK: 1, topP: 1 } }, { sampling: { topP: 1, topK: 1 }, maxTokens: 1 })).toBe(true);
    expect(sameParameters({ maxTokens: 1 }, { maxTokens: 2 })).toBe(false);
  });

  it('are brought into their range', () => {
    expect(readNumber('3.7', 0, 10, true)).toBe(4);
    expect(readNumber('99', 0, 10)).toBe(10);
    expect(readNumber('', 0, 10)).toBeUndefined();
    expect(readNumber('abc')).toBeUndefined();
  });
});
