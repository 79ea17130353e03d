import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findProgram, run } from '../../../main/setup/process.mjs';

const node = (script: string, options = {}) => run(process.execPath, ['-e', script], { quiet: true, ...options });

describe('run', () => {
  it('gives the exit code', async () => expect(await node('process.exit(3)')).toEqual({ code: 3, timedOut: false }));
  it('gives 127 for a program that does not exist', async () => expect(await run('no-such-program-anywhere', [])).toEqual({ code: 127, timedOut: false }));
  it('gives 1 for a program that was killed', async () => expect((await node('process.kill(process.pid, "SIGKILL")')).code).toBe(1));
  it('has a closed stdin', async () => expect((await node('process.stdin.on("end", () => process.exit(5)).resume()')).code).toBe(5));

  it.skipIf(process.platform === 'win32')('kills it and its children at the limit', async () => {
    // The child writes the id of a grandchild into FILE and both wait for ever.
    const folder = mkdtempSync(join(tmpdir(), 'moebius-run-'));
    const file = join(folder, 'grandchild');
    const script = `const { spawn } = require('node:child_process'); const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      require('node:fs').writeFileSync(process.env.FILE, String(child.pid)); setInterval(() => {}, 1000);`;
    const result = await node(script, { limitSeconds: 3, env: { ...process.env, FILE: file } });
    expect(result.timedOut).toBe(true);
    const grandchild = Number(readFileSync(file, 'utf8'));
    const isGone = () => {
      try {
        process.kill(grandchild, 0);
        return existsSync(`/proc/${grandchild}/stat`) && readFileSync(`/proc/${grandchild}/stat`, 'utf8').includes(') Z ');
      } catch {
        return true;
      }
    };
    await expect.poll(isGone, { timeout: 5000 }).toBe(true);
    rmSync(folder, { recursive: true });
  });
});

describe('findProgram', () => {
  it('finds the first that PATH has', () => expect(existsSync(findProgram(['no-such-program-anywhere', 'node']) ?? '')).toBe(true));
  it('finds nothing else', () => expect(findProgram(['no-such-program-anywhere'])).toBeNull());
});
