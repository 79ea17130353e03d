import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { engineOfItsOwn } from '../../../main/engine/own-engine.ts';
import { fakeEngine } from '../../support/fake-engine.ts';

vi.setConfig({ testTimeout: 20_000 });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-own-engine-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe.skipIf(process.platform !== 'linux')('an engine of its own', () => {
  const environmentWith = (user: Record<string, string>) => {
    const launch = fakeEngine({ counter: join(folder, 'starts') });
    const own = engineOfItsOwn({ ...launch, environment: { ...process.env, ...user } });
    return own(async ({ status }) => readFileSync(`/proc/${status.processId}/environ`, 'utf8').split('\0'), { MOEBIUS_WISH: 'work' });
  };

  it('has the environment that the work wants', async () => {
    expect(await environmentWith({})).toContain('MOEBIUS_WISH=work');
  });

  it("has the user's instead where there is one", async () => {
    expect(await environmentWith({ MOEBIUS_WISH: 'user' })).toEqual(expect.arrayContaining(['MOEBIUS_WISH=user']));
  });
});
