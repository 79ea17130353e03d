import { describe, expect, it } from 'vitest';
import { loopbackGuard } from '../../../main/server/request-guard.ts';

const guard = loopbackGuard(() => 8080);

describe('the loopback guard', () => {
  it.each(['127.0.0.1:8080', 'localhost:8080', '[::1]:8080', 'LOCALHOST:8080'])('takes the host %s', (host) => {
    expect(guard.allows(host, undefined)).toBe(true);
    expect(guard.allows(host, 'http://localhost:8080')).toBe(true);
  });

  it.each([
    undefined,
    '',
    'localhost',
    '127.0.0.1',
    '127.0.0.1:80',
    'evil.example:8080',
    'localhost.evil.example:8080',
    '127.0.0.1:8080.evil.example',
    '0.0.0.0:8080',
    '192.168.1.2:8080',
  ])('refuses the host %s', (host) => {
    expect(guard.allows(host, undefined)).toBe(false);
  });

  it.each(['null', '', 'http://evil.example', 'https://localhost:8080', 'http://localhost', 'http://localhost:8081', 'file://', 'http://localhost:8080/'])(
    'refuses the origin %j',
    (origin) => {
      expect(guard.allows('localhost:8080', origin)).toBe(false);
    },
  );

  it('can require an origin', () => {
    expect(guard.allows('localhost:8080', undefined, { originRequired: true })).toBe(false);
  });
});
