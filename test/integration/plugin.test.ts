// The experts' device in a stock llama.cpp program, which loads it as a library.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { nativeBuild } from '../../main/setup/paths.mjs';
import { buildLlamaTool } from '../bench/support/llama-tool.ts';
import { tinyModel } from '../support/engine.ts';

const library = join(nativeBuild, 'libggml-moebius-experts.so');
const toTheStore = ['-ot', '\\.ffn_(up|down|gate|gate_up)_exps\\.weight=Experts'];
/** all experts of the tiny model take 26.7 MB */
const half = '13000000';

describe('libggml-moebius-experts in llama-completion', () => {
  let program: string;
  beforeAll(async () => {
    expect(existsSync(library), 'ninja -C native/build ggml-moebius-experts').toBe(true);
    program = await buildLlamaTool('llama-completion', () => undefined);
  }, 180_000);

  function complete(flags: string[] = [], environment: Record<string, string> = {}): Promise<{ code: number; text: string; log: string }> {
    const prompt = 'In the beginning God created the heaven and the earth. And the earth was';
    const all = ['-m', tinyModel, '-p', prompt, '-n', '96', '--temp', '0', '-no-cnv', '-t', '1', '-c', '256', '--no-warmup', ...flags];
    const plugged = flags.length > 0 ? { GGML_BACKEND_PATH: library, MOEBIUS_EXPERT_MODEL: tinyModel } : {};
    return new Promise((resolve) => {
      execFile(program, all, { env: { ...process.env, ...plugged, ...environment } }, (error, text, log) =>
        resolve({ code: error === null ? 0 : Number(error.code), text, log }),
      );
    });
  }

  // The program prints in a thread that it does not wait for: the last words are lost now and then, in stock as well.
  function expectSame(one: string, other: string): void {
    const length = Math.min(one.length, other.length);
    expect(length).toBeGreaterThan(350); // of 471 characters
    expect(one.slice(0, length)).toBe(other.slice(0, length));
  }

  it('gives the same greedy tokens with room for half of the experts, whatever leaves first', async () => {
    const stock = await complete();
    expect(stock.code).toBe(0);
    for (const policy of ['lru', 'score', 'lrfu']) {
      const plugged = await complete(toTheStore, { MOEBIUS_EXPERT_RAM: half, MOEBIUS_EXPERT_POLICY: policy });
      expect(plugged.log).toContain(`13.0 MB of 26.7 MB of experts in RAM, policy ${policy}`);
      expect(plugged.code).toBe(0);
      expectSame(plugged.text, stock.text);
    }
  }, 60_000);

  it('says what is wrong, and the program does not start without the store', async () => {
    const cases: [Record<string, string>, string][] = [
      [{ MOEBIUS_EXPERT_MODEL: '' }, 'MOEBIUS_EXPERT_MODEL is not set'],
      [{ MOEBIUS_EXPERT_MODEL: '/nowhere.gguf' }, 'nowhere.gguf: there is no such file'],
      [{ MOEBIUS_EXPERT_RAM: 'much' }, "MOEBIUS_EXPERT_RAM is 'much'"],
      [{ MOEBIUS_EXPERT_RAM: '1000' }, 'moebius-experts'],
      [{ MOEBIUS_EXPERT_POLICY: 'best' }, "MOEBIUS_EXPERT_POLICY is 'best'; it takes one of lru"],
    ];
    for (const [environment, complaint] of cases) {
      const { code, log } = await complete(toTheStore, environment);
      expect(log).toContain(complaint);
      expect(code).not.toBe(0);
    }
  }, 60_000);
});
