// `moebius train` and `moebius export` as a user runs them: a run that is killed goes on to the bit, and what it leaves loads.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunEvent, TrainEstimate } from '../../main/contract/index.ts';
import { tinyModel } from '../support/engine.ts';
import { moebius, moebiusCommand } from '../support/moebius.ts';
import { startRpcServers } from '../support/rpc-servers.ts';
import { writeSmallDeepseek } from '../support/small-deepseek.ts';
import { checkpointOf, roman, STEPS, writeTrainJob } from '../support/train-jobs.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-train-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const writeJob = (name: string, changes?: object) => writeTrainJob(folder, name, changes);

const events = (lines: string): RunEvent[] =>
  lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const losses = (all: RunEvent[]) => all.flatMap((event) => (event.event === 'step' ? [event.loss] : []));
const validations = (all: RunEvent[]) => all.flatMap((event) => (event.event === 'validation' ? [event.loss ?? Number.NaN] : []));
const openedOf = (all: RunEvent[]) => all.flatMap((event) => (event.event === 'opened' ? [event] : []))[0];
const checkpoint = (name: string, step: number) => checkpointOf(folder, name, step);

/** With what was done before the run was opened. */
async function trainFromTheStart(name: string, changes?: object): Promise<RunEvent[]> {
  const { code, stdout, stderr } = await moebius(['train', '--config', writeJob(name, changes), '--json']);
  expect([code, stderr]).toEqual([0, '']);
  return events(stdout);
}
const train = async (name: string, changes?: object) => (await trainFromTheStart(name, changes)).filter(({ event }) => event !== 'preparing');

/** Sends the command a signal when the step has been told; gives what it wrote to stderr. */
async function endBehind(name: string, step: number, signal: NodeJS.Signals): Promise<string> {
  const [command, program] = moebiusCommand;
  const child = spawn(command, [program, 'train', '--config', writeJob(name), '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const problem = text(child.stderr);
  for await (const line of createInterface({ input: child.stdout })) {
    const event: RunEvent = JSON.parse(line);
    if (event.event === 'step' && event.step === step) child.kill(signal);
  }
  return problem;
}

describe('moebius train', () => {
  let whole: RunEvent[];

  it('learns, says what it trains, and keeps the newest checkpoints and the first', async () => {
    whole = await train('whole');
    expect(whole[0]).toMatchObject({ event: 'data', bad: 0, cut: 0, leftOut: { overLong: 0, nothingToLearn: 0 } });
    expect(openedOf(whole)).toMatchObject({ event: 'opened', step: 0, steps: STEPS, resumed: null, validates: true });
    expect(losses(whole)).toHaveLength(STEPS);
    const [first = 0, ...later] = validations(whole);
    expect(later).toHaveLength(2);
    expect(later.at(-1)).toBeLessThan(first - 0.3);
    const moved = whole.flatMap((event) => (event.event === 'movement' ? [event.tensors.flatMap(({ norms }) => norms).filter((norm) => norm > 0).length] : []));
    expect(moved[0]).toBe(0); // nothing has, before the first step
    expect(whole.flatMap((event) => (event.event === 'movement' ? [event.step] : []))).toEqual([0, 1, 2, 4, 6, 8]);
    expect(moved.at(-1)).toBeGreaterThan(100);
    expect(readdirSync(join(folder, 'whole', 'checkpoints')).sort()).toEqual([0, 4, 6, 8].map((step) => `step-0000000${step}.checkpoint`));
    expect(events(readFileSync(join(folder, 'whole', 'metrics.jsonl'), 'utf8'))).toEqual(whole);
  });

  it('goes on behind a kill as if nothing had been', async () => {
    await endBehind('killed', 5, 'SIGKILL');
    const rest = await train('killed');
    expect(openedOf(rest)).toMatchObject({ event: 'opened', step: 4, resumed: checkpoint('killed', 4) });
    expect(losses(rest)).toEqual(losses(whole).slice(4));
    expect(validations(rest).at(-1)).toBe(validations(whole).at(-1));
    const trained = (name: string) => readFileSync(checkpoint(name, STEPS)).subarray(-4096); // numbers; the header has paths
    expect(trained('killed').subarray(0, -8)).toEqual(trained('whole').subarray(0, -8));
  });

  it('saves when it is interrupted, and says how to go on', async () => {
    const problem = JSON.parse(await endBehind('interrupted', 1, 'SIGINT'));
    expect(problem).toMatchObject({ code: 'cancelled', message: expect.stringContaining('goes on from its newest checkpoint') });
    const rest = await train('interrupted');
    expect(openedOf(rest)).toMatchObject({ event: 'opened', resumed: expect.any(String) });
    expect(losses(rest)).toEqual(losses(whole).slice(STEPS - losses(rest).length));
    expect(losses(rest).length).toBeLessThan(STEPS);
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
    const child = spawn(command, [program, 'train', '--config', writeJob(name, changes), '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const [problem, code] = [text(child.stderr), new Promise((resolve) => child.on('close', resolve))];
    for await (const line of createInterface({ input: child.stdout })) {
      if (JSON.parse(line).event !== 'step') continue;
      if (ending === 'SIGTERM') child.kill('SIGTERM');
      else child.stdout.destroy();
      break;
    }
    child.stdout.resume();
    expect([await code, JSON.parse(await problem)]).toMatchObject([1, { code: 'cancelled' }]);
    expect(readdirSync(join(folder, name, 'checkpoints'))).toHaveLength(1);
  });

  it('exports an adapter, files for PEFT, and a model that answers', async () => {
    const from = checkpoint('whole', STEPS);
    const adapter = join(folder, 'adapter.gguf');
    const merged = join(folder, 'merged.gguf');
    expect((await moebius(['export', from, adapter])).code).toBe(0);
    expect(readFileSync(adapter).subarray(0, 4).toString()).toBe('GGUF');
    expect((await moebius(['export', from, join(folder, 'peft'), '--format', 'peft'])).code).toBe(0);
    expect(existsSync(join(folder, 'peft', 'adapter_model.safetensors'))).toBe(true);
    const { code, stdout } = await moebius(['export', from, merged, '--format', 'merged', '--type', 'q8_0', '--json']);
    expect([code, JSON.parse(stdout)]).toEqual([0, { path: merged, step: STEPS }]);
    const told = async (...flags: string[]) => JSON.parse((await moebius(['eval', ...flags, '--data', roman, '--json'])).stdout).loss;
    const [base, adapted] = [await told(tinyModel), await told(tinyModel, '--adapter', adapter)];
    expect(adapted).toBeLessThan(base - 0.3);
    expect(Math.abs(adapted - (await told(merged)))).toBeLessThan(0.02); // whose weights were rounded to 8 bits again
    const answer = await moebius(['generate', '--model', merged, '--prompt', 'Hello', '--max-tokens', '4', '--json']);
    expect(answer.code).toBe(0);
  });

  it('trains deepseek2, whose attention no adapter file holds, and merges what was learnt into a model that llama.cpp computes alike', async () => {
    const model = join(folder, 'deepseek2.gguf');
    writeSmallDeepseek(model);
    const all = await train('deepseek2', {
      model,
      data: { files: [roman], validation: 0 },
      validateEvery: 0,
      adapter: Object.fromEntries(['attention', 'ffn', 'experts', 'shared', 'router'].map((part) => [part, { loraRank: 4 }])),
      schedule: { steps: 3, learningRate: 2e-2 },
      batchTokens: 4096, // all examples: a step's loss is that of the model behind the step before
      saveEvery: 2,
      clip: 0,
    });
    const [first = 0, , last = 0] = losses(all);
    expect(last).toBeLessThan((first ?? 0) - 0.5); // fifty times what the losses below may be apart
    const merged = join(folder, 'deepseek2-merged.gguf');
    expect((await moebius(['export', checkpoint('deepseek2', 2), merged, '--format', 'merged'])).code).toBe(0);
    const { loss } = JSON.parse((await moebius(['eval', merged, '--data', roman, '--json'])).stdout);
    expect(Math.abs(loss - (last ?? 0))).toBeLessThan(0.01); // llama.cpp keeps keys and values in 16 bits
    const refused = await moebius(['export', checkpoint('deepseek2', 2), join(folder, 'deepseek2-adapter.gguf')]);
    expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([1, { code: 'model.unsupported', message: expect.stringContaining('attn_q') }]);
  });

  it('learns from preferences which answer is the better one', async () => {
    const path = join(folder, 'preferences.jsonl');
    const pairs = Array.from({ length: 16 }, (_, i) => ({ prompt: `Say ${i}.`, chosen: `It is ${i}.`, rejected: 'No.' }));
    writeFileSync(path, pairs.map((pair) => JSON.stringify(pair)).join('\n'));
    const changes = {
      data: { files: [path], validation: 0.25 }, // all pairs: the objective is "dpo"
      dpo: { beta: 0.2 },
      schedule: { steps: 6, learningRate: 3e-3 },
      validateEvery: 3,
    };
    const all = await train('preferences', changes);
    const steps = all.flatMap((event) => (event.event === 'step' ? [event] : []));
    expect(steps[0]?.loss).toBeCloseTo(Math.log(2), 6); // adapter and base are the same yet
    expect(steps[0]?.preference).toEqual({ accuracy: 0, margin: 0, chosenReward: 0, rejectedReward: 0 });
    expect(steps.at(-1)?.preference).toMatchObject({ accuracy: 1 });
    expect(steps.at(-1)?.preference?.margin).toBeGreaterThan(0.1);
    expect(steps.at(-1)?.loss).toBeLessThan(0.65);
    const looks = all.flatMap((event) => (event.event === 'validation' ? [event.preference?.margin] : []));
    expect(looks).toEqual([0, expect.any(Number), expect.any(Number)]);
  });

  it('has routers that hear of all experts, and layers that use as many as are drawn', async () => {
    const all = await train('routers', {
      adapter: { experts: { loraRank: 4 }, wholeRouter: true },
      routerGradient: { kind: 'default-moe', beta: 0.5 },
      expertUsedCount: { min: 1, max: 3, validateEach: true },
      schedule: { steps: 2, learningRate: 3e-3 },
    });
    const steps = all.flatMap((event) => (event.event === 'step' ? [event] : []));
    for (const { tokens, expertTokens, expertUsedCounts } of steps) {
      expect(expertTokens.map((layer) => layer.reduce((sum, each) => sum + each, 0))).toEqual(expertUsedCounts?.map((used) => used * tokens));
    }
    expect(new Set(steps.flatMap(({ expertUsedCounts }) => expertUsedCounts ?? [])).size).toBeGreaterThan(1);
    const looks = all.flatMap((event) => (event.event === 'validation' ? [event] : []));
    expect(looks.at(-1)?.byExpertUsedCount?.map(({ expertUsedCount }) => expertUsedCount)).toEqual([1, 2, 3]);
    expect(looks.at(-1)?.byExpertUsedCount).toContainEqual({ expertUsedCount: 2, loss: looks.at(-1)?.loss }); // the model's own number
    const refused = await moebius(['train', '--config', writeJob('untrained', { routerGradient: { kind: 'sparse-mixer' } })]);
    expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('wholeRouter') }]);
  });

  it('refuses data that is partly pairs, pairs with another objective, and that objective without pairs', async () => {
    const pairs = join(import.meta.dirname, '../data/datasets/preferences.jsonl');
    const refusal = async (name: string, changes: Record<string, unknown>) => {
      const { code, stderr } = await moebius(['train', '--config', writeJob(name, changes)]);
      return [code, JSON.parse(stderr)];
    };
    const mixed = { files: [roman, pairs] };
    expect(await refusal('mixed', { data: mixed })).toMatchObject([
      1,
      { code: 'request.invalid', message: expect.stringMatching(/^Of the \d+ examples \d+ are preference pairs/) },
    ]);
    const next = { objective: 'next-token', data: { files: [pairs] } };
    expect(await refusal('next', next)).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('"dpo"') }]);
    expect(await refusal('plain', { objective: 'dpo' })).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('only 0 of') }]);
  });

  it('computes experts on another machine, too', async () => {
    await using rig = await startRpcServers(1);
    const experts = [{ device: 'CPU' }, ...rig.servers.map(({ device }) => ({ device }))];
    const [first] = losses(await train('remote', { devices: { experts }, schedule: { kind: 'linear', steps: 1, learningRate: 3e-3, warmupSteps: 1 } }));
    expect(first).toBeCloseTo(losses(whole)[0] ?? Number.NaN, 4); // sums have another order
    const gone = await moebius(['train', '--config', writeJob('gone', { devices: { experts: [{ device: 'RPC0@127.0.0.1:1' }] } })]);
    expect([gone.code, JSON.parse(gone.stderr)]).toMatchObject([1, { code: 'device.unreachable' }]);
  });

  it('adapts only the experts that its data uses most, goes on with them, and exports them', async () => {
    const adapter = { experts: { loraRank: 4, chosen: { method: 'tokens', topP: 0.3, sampleTokens: 500 } } };
    const all = await trainFromTheStart('chosen', { adapter, schedule: { steps: 2, learningRate: 3e-3 } });
    const opened = openedOf(all);
    expect(all.slice(0, opened && all.indexOf(opened))).toEqual(
      expect.arrayContaining(['data', 'experts'].map((what) => ({ event: 'preparing', what, fraction: expect.any(Number) }))),
    );
    const chosen = opened?.chosenExperts;
    expect(chosen?.sampledTokens).toBeGreaterThanOrEqual(500);
    for (const { affinities } of chosen?.layers ?? []) expect(affinities.reduce((sum, each) => sum + each, 0)).toBeGreaterThanOrEqual(0.3 - 1e-9);
    const rest = await train('chosen', { adapter, schedule: { steps: 4, learningRate: 3e-3 } });
    expect(openedOf(rest)).toMatchObject({ event: 'opened', step: 2, chosenExperts: chosen });
    const moved = rest.flatMap((event) => (event.event === 'movement' ? [event.tensors] : [])).at(-1) ?? [];
    for (const { tensor, norms } of moved) {
      const experts = chosen?.layers.find(({ layer }) => layer === Number(tensor.split('.')[1]))?.experts ?? [];
      expect(norms.flatMap((norm, expert) => (norm > 0 ? [expert] : []))).toEqual(experts.filter((expert) => (norms[expert] ?? 0) > 0));
    }
    for (const format of ['adapter', 'peft']) {
      const made = await moebius(['export', checkpoint('chosen', 4), join(folder, `chosen-${format}`), '--format', format]);
      expect([made.code, made.stderr]).toEqual([0, '']);
    }
    const none = await moebius(['train', '--config', writeJob('strange', { adapter: { experts: { loraRank: 4, chosen: { layers: { 9: [0] } } } } })]);
    expect([none.code, JSON.parse(none.stderr)]).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('layer 9') }]);
  });

  it('says what a job would take before it begins, and refuses one that has no room', async () => {
    const asked = await moebius(['train', '--config', writeJob('asked'), '--estimate', '--json']);
    const found: TrainEstimate = JSON.parse(asked.stdout);
    expect(found).toMatchObject({ fits: true, steps: STEPS, expertsOnDisk: 0, devices: [{ id: 'CPU' }] });
    expect(found.need).toBe(found.devices[0]?.need);
    expect(found.tokensPerStep).toBeGreaterThan(100);
    expect(found.tokensPerStep).toBeLessThanOrEqual(256);
    expect(found.time).toMatchObject({ stepSeconds: expect.any(Number), layers: 4, measuredLayers: 2 });
    expect(found.time?.seconds).toBeCloseTo((found.time?.stepSeconds ?? 0) * STEPS, 6);
    expect(existsSync(join(folder, 'asked', 'checkpoints'))).toBe(false);
    const told = await moebius(['train', '--config', writeJob('asked'), '--estimate']);
    expect(told.stdout).toMatch(/It fits\.\nAbout [\d.]+ s a step/);
    const small = await moebius(['train', '--config', writeJob('small', { devices: { experts: [{ device: 'CPU', bytes: 100_000 }] } })]);
    expect([small.code, JSON.parse(small.stderr)]).toMatchObject([
      1,
      { code: 'model.does-not-fit', details: { device: 'CPU', have: 100_000, need: expect.any(Number) } },
    ]);
  });

  it('trains the embedding and norms, which adapter files leave out only if asked', async () => {
    await train('ends', {
      adapter: { attention: { loraRank: 2 }, wholeEmbedding: true, wholeNorms: true },
      schedule: { steps: 1, learningRate: 1e-3 },
      saveFirst: false,
    });
    const refused = await moebius(['export', checkpoint('ends', 1), join(folder, 'ends.gguf')]);
    expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([1, { code: 'model.unsupported', message: expect.stringContaining('--pairs-only') }]);
    expect((await moebius(['export', checkpoint('ends', 1), join(folder, 'ends.gguf'), '--pairs-only'])).code).toBe(0);
  });

  it('tells which rows it does not learn, and tells it again when it goes on', async () => {
    const path = join(folder, 'rows.jsonl');
    const row = (reply: string) => JSON.stringify({ prompt: 'Say it.', completion: reply });
    writeFileSync(path, [row('One.'), '{"prompt": ', row('Two.'), row('One.'), row('Long. '.repeat(40)), '{"prompt": "No answer?"}'].join('\n'));
    const changes = {
      data: { files: [path], validation: 0, maxTokens: 64, overLong: 'leave-out' },
      validateEvery: 0,
      adapter: { attention: { loraRank: 2 } },
      schedule: { steps: 1, learningRate: 1e-3 },
    };
    const expected = {
      event: 'data',
      rows: 6,
      good: 4,
      bad: 2,
      badRows: {
        listed: [
          { place: 2, reason: 'row.not-json' },
          { place: 6, reason: 'field.missing' },
        ],
      },
      duplicates: { count: 1, listed: [{ place: 4, first: { place: 1 } }] },
      leftOut: { overLong: 1, nothingToLearn: 0 },
    };
    expect((await train('dropped', changes))[0]).toMatchObject(expected);
    expect(events(readFileSync(join(folder, 'dropped', 'metrics.jsonl'), 'utf8'))[0]).toMatchObject(expected);
    const { stdout } = await moebius(['train', '--config', writeJob('dropped', changes)]); // which encodes nothing
    expect(stdout).toMatch(/^data: 6 rows, 4 good, 2 bad; 4 for training, 0 for validation\n {2}1 left out: more tokens/m);
    expect(stdout).toContain(`${path}:2: row.not-json`);
    expect(stdout).toContain(`${path}:4 repeats ${path}:1`);
    const told = await moebius(['eval', tinyModel, '--data', path, '--json']);
    expect(JSON.parse(told.stdout).data).toMatchObject({ rows: 6, bad: 2, badRows: expected.badRows });
  });

  it('tells what is wrong with a job', async () => {
    const bad = await moebius(['train', '--config', writeJob('bad', { schedule: { steps: 0 } })]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('schedule.steps');
    const none = await moebius(['train', '--config', join(folder, 'none.json')]);
    expect([none.code, JSON.parse(none.stderr)]).toMatchObject([1, { code: 'file.not-found' }]);
    const nothing = await moebius(['train', '--config', writeJob('nothing', { adapter: {} })]);
    expect(nothing.code).toBe(1);
    expect(nothing.stderr).toContain('Nothing would be trained');
    const damaged = await moebius(['export', writeJob('damaged'), join(folder, 'x.gguf')]);
    expect([damaged.code, JSON.parse(damaged.stderr)]).toMatchObject([1, { code: 'file.version' }]);
  });
});
