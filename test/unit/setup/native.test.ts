import { describe, expect, it } from 'vitest';
import { isForeignBuild } from '../../../main/setup/native.mjs';
import { describeMissing, systemStep } from '../../../main/setup/system.mjs';

describe('isForeignBuild', () => {
  const cache = '# cache\nCMAKE_HOME_DIRECTORY:INTERNAL=/old/place/native\nX:BOOL=ON\n';
  it('tells a build folder that was copied from elsewhere', () => expect(isForeignBuild(cache, '/new/place/native')).toBe(true));
  it('knows its own', () => expect(isForeignBuild(cache, '/old/place/native')).toBe(false));
  it('takes one that was never configured as its own', () => expect(isForeignBuild('', '/old/place/native')).toBe(false));
});

describe('system packages', () => {
  const requirement = (name: string, present: boolean) => ({
    name,
    packages: [`${name}-package`],
    purpose: 'build the engine',
    required: true,
    isPresent: () => present,
  });

  it('are described by what is missing, what for, and how to get it', () => {
    const words = describeMissing([requirement('cmake', false)]);
    expect(words).toContain('cmake is missing: needed to build the engine');
    if (process.platform === 'linux') expect(words).toContain('sudo apt-get install cmake-package');
  });
  it('are no work when all are there', () => {
    expect(systemStep('tools', [requirement('a', true), requirement('b', true)]).isDone()).toBe(true);
    expect(systemStep('tools', [requirement('a', true), requirement('b', false)]).isDone()).toBe(false);
  });
});
