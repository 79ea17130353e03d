import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { completeLock, platformOf } from '../../../main/setup/complete-lock.mjs';
import { outdatedPackages } from '../../../main/setup/packages.mjs';

const root = join(import.meta.dirname, '../../..');

describe('outdatedPackages', () => {
  const wanted = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/@s/b': { version: '2.0.0' },
      'node_modules/mac': { version: '1.0.0', optional: true },
    },
  };

  it('is empty when everything is there; optional packages of other platforms need not be', () => {
    expect(outdatedPackages(wanted, { packages: { 'node_modules/a': { version: '1.0.0' }, 'node_modules/@s/b': { version: '2.0.0' } } })).toEqual([]);
  });
  it('names what is missing or of another version', () => {
    expect(outdatedPackages(wanted, { packages: { 'node_modules/a': { version: '0.9.0' } } })).toEqual(['a@1.0.0', '@s/b@2.0.0']);
  });
  it('names an optional package that is there in another version', () => {
    const have = { 'node_modules/a': { version: '1.0.0' }, 'node_modules/@s/b': { version: '2.0.0' }, 'node_modules/mac': { version: '0.1.0' } };
    expect(outdatedPackages(wanted, { packages: have })).toEqual(['mac@1.0.0']);
  });
  it('names everything when nothing was installed', () => expect(outdatedPackages(wanted, {})).toEqual(['a@1.0.0', '@s/b@2.0.0']));
});

describe('the lock file', () => {
  it('has every optional package, so that npm ci accepts it (main/setup/complete-lock.mjs adds them)', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
    expect(completeLock(lock.packages).added).toEqual([]);
  });

  it('is completed with the platform that a name tells', () => {
    const { packages, added } = completeLock({
      'node_modules/x': { version: '3.0.0', dev: true, optionalDependencies: { '@x/win-x64-cuda': '3.0.0', '@x/linux-x64': '3.0.0' } },
      'node_modules/@x/linux-x64': { version: '3.0.0' },
    });
    expect(added).toEqual(['@x/win-x64-cuda@3.0.0']);
    expect(packages['node_modules/@x/win-x64-cuda']).toEqual({ version: '3.0.0', os: ['win32'], cpu: ['x64'], dev: true, optional: true });
    expect(Object.keys(packages)).toEqual(['node_modules/@x/linux-x64', 'node_modules/@x/win-x64-cuda', 'node_modules/x']);
  });

  it.each([
    ['@node-llama-cpp/mac-arm64-metal', { os: ['darwin'], cpu: ['arm64'] }],
    ['@biomejs/cli-linux-x64-musl', { os: ['linux'], cpu: ['x64'], libc: ['musl'] }],
    ['@node-llama-cpp/linux-armv7l', { os: ['linux'], cpu: ['arm'], libc: ['glibc'] }],
    ['fsevents', null],
  ])('%s is for %j', (name, platform) => expect(platformOf(name)).toEqual(platform));
});
