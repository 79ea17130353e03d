import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createHandler, fileOf, registerScheme } from '../../../electron/protocol.ts';

const folder = mkdtempSync(join(tmpdir(), 'moebius-protocol-'));
const root = join(folder, 'renderer');
const get = (url: string, method = 'GET') => createHandler(root)({ method, url });

beforeAll(() => {
  mkdirSync(join(root, 'assets'), { recursive: true });
  writeFileSync(join(root, 'index.html'), '<!doctype html>');
  writeFileSync(join(root, 'assets/app.js'), 'export {};');
  writeFileSync(join(root, 'assets/two words.css'), 'a{}');
  writeFileSync(join(root, 'assets/data.exe'), 'MZ');
  writeFileSync(join(folder, 'secret.json'), '{}');
  symlinkSync(join(folder, 'secret.json'), join(root, 'assets/link.json'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('moebius://app/', () => {
  it.each([
    ['moebius://app/', 'text/html; charset=utf-8'],
    ['moebius://app/index.html?x#/chat', 'text/html; charset=utf-8'],
    ['moebius://app/assets/app.js', 'text/javascript; charset=utf-8'],
    ['moebius://app/assets/two%20words.css', 'text/css; charset=utf-8'],
  ])('serves %s as %s', async (url, type) => {
    const response = await get(url);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe(type);
    expect((await response.text()).length).toBe(Number(response.headers.get('content-length')));
  });

  it.each([
    'moebius://app/../secret.json',
    'moebius://app/%2e%2e/secret.json',
    'moebius://app/..%2fsecret.json',
    'moebius://app/%2e%2e%2fsecret.json',
    'moebius://app/assets/..%5c..%5csecret.json',
    'moebius://app/assets/%00.js',
    'moebius://app/C:%2fwindows.json',
    'moebius://app/%zz.js',
    'moebius://app/assets/link.json',
    'moebius://app/assets/data.exe',
    'moebius://app/assets',
    'moebius://app/none.js',
    'moebius://other/index.html',
    'file:///etc/passwd',
  ])('answers 404 to %s', async (url) => expect((await get(url)).status).toBe(404));

  it('answers HEAD without a body', async () => {
    const response = await get('moebius://app/', 'HEAD');
    expect(response.headers.get('content-length')).toBe('15');
    expect(await response.text()).toBe('');
  });

  it.each(['POST', 'PUT', 'DELETE'])('refuses %s', async (method) => expect((await get('moebius://app/', method)).status).toBe(405));

  it.each(['moebius://app/', 'moebius://app/none.js'])('sends the production policy with %s', async (url) => {
    const { headers } = await get(url);
    expect(headers.get('content-security-policy')).toContain("script-src 'self';");
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('content-security-policy')).not.toContain('unsafe-eval');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('means no file outside its folder', () => {
    expect(fileOf('/ui', 'moebius://app/a/b.js')).toBe(join('/ui', 'a', 'b.js'));
    expect(fileOf('/ui', 'moebius://app//etc/passwd')).toBe(join('/ui', 'etc', 'passwd'));
  });

  it('is a standard, secure scheme that does not bypass the policy', () => {
    const registerSchemesAsPrivileged = vi.fn();
    registerScheme({ registerSchemesAsPrivileged });
    const [[schemes]] = registerSchemesAsPrivileged.mock.calls as [[{ scheme: string; privileges: object }[]]];
    expect(schemes[0]?.scheme).toBe('moebius');
    expect(schemes[0]?.privileges).toMatchObject({ standard: true, secure: true });
    expect(schemes[0]?.privileges).not.toHaveProperty('bypassCSP');
  });
});
