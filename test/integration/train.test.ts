// `moebius train` and `moebius export` as a user runs them: a run that is killed goes on to the bit, and what it leaves loads.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, it } from 'vitest';
import type { RunEvent } from '../../main/contract/index.ts';
import { tinyModel } from '../support/engine.ts';
import { linesOf, moebius, moebiusCommand } from '../support/moebius.ts';
import { startRpcServers } from '../support/rpc-servers.ts';
import { eventsOf, lossesOf, openedOf, roman, STEPS, TrainJobs } from '../support/train-jobs.ts';

const jobs = new TrainJobs('train');
afterAll(() => jobs.remove());

const validationsOf = (all: RunEvent[]) => all.flatMap((event) => (event.event === 'validation' ? [event.loss ?? Number.NaN] : []));

/** Sends the command a signal when the step has been told; gives what it wrote to stderr. */
async function endBehind(name: string, step: number, signal: NodeJS.Signals): Promise<string> {
  const [command, program] = moebiusCommand;
  const child = spawn(command, [program, 'train', '--config', jobs.write(name), '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const problem = text(child.stderr);
  for await (const line of createInterface({ input: child.stdout })) {
    const event: RunEvent = JSON.parse(line);
    if (event.event === 'step' && event.step === step) child.kill(signal);
  }
  return problem;
}

let whole: RunEvent[];

describe('moebius train', () => {
  it('learns, says what it trains, and keeps the newest checkpoints and the first', async () => {
    whole = await jobs.train('whole');
    expect(whole[0]).toMatchObject({ event: 'data', bad: 0, cut: 0, leftOut: { overLong: 0, nothingToLearn: 0 } });
    expect(openedOf(whole)).toMatchObject({ event: 'opened', step: 0, steps: STEPS, resumed: null, validates: true });
    expect(lossesOf(whole)).toHaveLength(STEPS);
    const [first = 0, ...later] = validationsOf(whole);
    expect(later).toHaveLength(2);
    expect(later.at(-1)).toBeLessThan(first - 0.3);
    const moved = whole.flatMap((event) => (event.event === 'movement' ? [event.tensors.flatMap(({ norms }) => norms).filter((norm) => norm > 0).length] : []));
    expect(moved[0]).toBe(0); // nothing has, before the first step
    expect(whole.flatMap((event) => (event.event === 'movement' ? [event.step] : []))).toEqual([0, 1, 2, 4, 6, 8]);
    expect(moved.at(-1)).toBeGreaterThan(100);
    expect(readdirSync(join(jobs.folder, 'whole', 'checkpoints')).sort()).toEqual([0, 4, 6, 8].map((step) => `step-0000000${step}.checkpoint`));
    expect(eventsOf(readFileSync(join(jobs.folder, 'whole', 'metrics.jsonl'), 'utf8'))).toEqual(whole);
  });

  it('goes on behind a kill as if nothing had been', async () => {
    await endBehind('killed', 5, 'SIGKILL');
    const rest = await jobs.train('killed');
    expect(openedOf(rest)).toMatchObject({ event: 'opened', step: 4, resumed: jobs.checkpoint('killed', 4) });
    expect(lossesOf(rest)).toEqual(lossesOf(whole).slice(4));
    expect(validationsOf(rest).at(-1)).toBe(validationsOf(whole).at(-1));
    const trained = (name: string) => readFileSync(jobs.checkpoint(name, STEPS)).subarray(-4096); // numbers; the header has paths
    expect(trained('killed').subarray(0, -8)).toEqual(trained('whole').subarray(0, -8));
  });

  it('saves when it is interrupted, and says how to go on', async () => {
    const problem = JSON.parse(await endBehind('interrupted', 1, 'SIGINT'));
    expect(problem).toMatchObject({ code: 'cancelled', message: expect.stringContaining('goes on from its newest checkpoint') });
    const rest = await jobs.train('interrupted');
    expect(openedOf(rest)).toMatchObject({ event: 'opened', resumed: expect.any(String) });
    expect(lossesOf(rest)).toEqual(lossesOf(whole).slice(STEPS - lossesOf(rest).length));
    expect(lossesOf(rest).length).toBeLessThan(STEPS);
  });

  it.each(['SIGTERM', 'a reader that goes'] as const)('saves when it is ended by %s', async (ending) => {
    const name = ending.replaceAll(' ', '-');
    const changes = {
      adapter: { attention: { loraRank: 2 } },
      saveEvery: 0,
      saveFirst: false,
      validateEvery: 0,
      schedule: { steps: 10_000, learningRate: 1e-3 },
    };
    const [command, program] = moebiusCommand;
    const child = spawn(command, [program, 'train', '--config', jobs.write(name, changes), '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const [problem, code] = [text(child.stderr), new Promise((resolve) => child.on('close', resolve))];
    for await (const line of createInterface({ input: child.stdout })) {
      if (JSON.parse(line).event !== 'step') continue;
      if (ending === 'SIGTERM') child.kill('SIGTERM');
      else child.stdout.destroy();
      break;
    }
    child.stdout.resume();
    expect([await code, JSON.parse(await problem)]).toMatchObject([1, { code: 'cancelled' }]);
    expect(readdirSync(join(jobs.folder, name, 'checkpoints'))).toHaveLength(1);
  });

  it('computes experts on another machine, too', async () => {
    await using rig = await startRpcServers(1);
    const experts = [{ device: 'CPU' }, ...rig.servers.map(({ device }) => ({ device }))];
    const [first] = lossesOf(await jobs.train('remote', { devices: { experts }, schedule: { kind: 'linear', steps: 1, learningRate: 3e-3, warmupSteps: 1 } }));
    expect(first).toBeCloseTo(lossesOf(whole)[0] ?? Number.NaN, 4); // sums have another order
    const gone = await moebius(['train', '--config', jobs.write('gone', { devices: { experts: [{ device: 'RPC0@127.0.0.1:1' }] } })]);
    expect([gone.code, JSON.parse(gone.stderr)]).toMatchObject([1, { code: 'device.unreachable' }]);
  });

  it('exports an adapter, files for PEFT, and a model that answers', async () => {
    const from = jobs.checkpoint('whole', STEPS);
    const adapter = join(jobs.folder, 'adapter.gguf');
    const merged = join(jobs.folder, 'merged.gguf');
    expect((await moebius(['export', from, adapter])).code).toBe(0);
    expect(readFileSync(adapter).subarray(0, 4).toString()).toBe('GGUF');
    expect((await moebius(['export', from, join(jobs.folder, 'peft'), '--format', 'peft'])).code).toBe(0);
    expect(existsSync(join(jobs.folder, 'peft', 'adapter_model.safetensors'))).toBe(true);
    const { code, stdout } = await moebius(['export', from, merged, '--format', 'merged', '--type', 'q8_0', '--json']);
    expect([code, linesOf(stdout)]).toEqual([0, { progress: expect.any(Array), result: { event: 'ended', path: merged, step: STEPS } }]);
    expect(linesOf(stdout).progress[0]).toEqual({ event: 'progress', what: 'export', fraction: expect.any(Number) });
    const told = async (...flags: string[]) => linesOf<{ loss: number }>((await moebius(['eval', ...flags, '--data', roman, '--json'])).stdout).result.loss;
    const [base, adapted] = [await told(tinyModel), await told(tinyModel, '--adapter', adapter)];
    expect(adapted).toBeLessThan(base - 0.3);
    expect(Math.abs(adapted - (await told(merged)))).toBeLessThan(0.02); // whose weights were rounded to 8 bits again
    const answer = await moebius(['generate', '--model', merged, '--prompt', 'Hello', '--max-tokens', '4', '--json']);
    expect(answer.code).toBe(0);
  });
});
