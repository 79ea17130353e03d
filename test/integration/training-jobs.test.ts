// Fine-tuning through the core as the app's page uses it: a dataset is looked at, runs wait and train, die and go on, and what they leave is used.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventPayload, RunEvent, TrainingPlan, TrainingRun } from '../../main/contract/index.ts';
import { CoreClient } from '../support/core-client.ts';
import { type Served, startServe } from '../support/serve.ts';

const roman = join(import.meta.dirname, '../data/datasets/roman-numerals.jsonl');
const STEPS = 6;
const plan: TrainingPlan = {
  adapter: { attention: { loraRank: 4 }, experts: { loraRank: 4 } },
  schedule: { kind: 'linear', steps: STEPS, learningRate: 3e-3, warmupSteps: 1 },
  batchTokens: 128,
  validateEvery: 3,
  saveEvery: 3,
  threads: 1,
  data: { files: [roman], validation: 0.2, maxTokens: 128 },
};

let dataFolder: string;
let served: Served;
let client: CoreClient;
let heard: { id: string; event: RunEvent }[] = [];

async function startApp(): Promise<void> {
  served = await startServe({ dataFolder });
  client = await CoreClient.connect(served.url);
  client.on('training.event', (told) => heard.push(told));
}

async function endApp(): Promise<void> {
  client.close();
  await served.stop();
}

beforeAll(async () => {
  dataFolder = mkdtempSync(join(tmpdir(), 'moebius-training-'));
  await startApp();
});
afterAll(async () => {
  await endApp();
  rmSync(dataFolder, { recursive: true, force: true });
});

const create = (changes: Partial<TrainingPlan> = {}) => client.call('training.create', { modelId: 'tiny-moe', plan: { ...plan, ...changes } });

async function until(id: string, holds: (run: TrainingRun) => boolean): Promise<TrainingRun> {
  for (let tries = 0; tries < 2400; tries++) {
    const run = await client.call('training.get', { id });
    if (holds(run)) return run;
    if (run.state === 'failed' && run.error) throw new Error(`${run.error.code}: ${run.error.message}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${id} is ${JSON.stringify(await client.call('training.get', { id }))}`);
}

const ended = (id: string) => until(id, ({ state }) => state === 'done');
const losses = async (id: string) => (await client.call('training.metrics', { id })).points.map(({ loss }) => loss);

/** Engines that the app has started, but for the one that chats. */
async function trainingEngines(): Promise<number[]> {
  const { engine } = await client.call('app.info', {});
  const children = readFileSync(`/proc/${served.process.pid}/task/${served.process.pid}/children`, 'utf8').trim().split(' ').map(Number);
  return children.filter((child) => child !== engine.processId && readFileSync(`/proc/${child}/comm`, 'utf8').startsWith('moebius-engine'));
}

/** Each starts several engines; a machine that is busy with other work takes minutes. */
describe('training runs', { timeout: 300_000 }, () => {
  let whole: TrainingRun;

  it('are planned on a dataset that was looked at', async () => {
    const report = await client.call('training.preview', { ticket: 'page', modelId: 'tiny-moe', data: plan.data, previews: 1 });
    expect(report).toMatchObject({ bad: 0, files: [{ format: 'messages' }], tokens: { loss: 'replies' } });
    expect(report.tokens?.lengths.bars.length).toBeGreaterThan(0);
    expect(report.preview).toHaveLength(1);
    const csv = join(dataFolder, 'unsure.csv');
    writeFileSync(csv, 'frage,antwort\nWas?,Das.\n');
    const asked = client.call('training.preview', { ticket: 'page', modelId: 'tiny-moe', data: { files: [csv] } });
    await expect(asked).rejects.toMatchObject({ code: 'dataset.format-unsure', details: { fields: [{ name: 'frage' }, { name: 'antwort' }] } });
    const recipes = await client.call('training.recipes', { modelId: 'tiny-moe', tokens: report.tokens?.total });
    expect(recipes[0]?.plan).toMatchObject({ adapter: { experts: { loraRank: 16 } }, batchTokens: 512 });
  });

  it('are estimated by the lengths of a dataset that was looked at', async () => {
    const report = await client.call('training.preview', { ticket: 'page', modelId: 'tiny-moe', data: plan.data, previews: 0 });
    const asked = { ticket: 'estimate', modelId: 'tiny-moe', plan, report };
    const memory = await client.call('training.estimate', asked);
    expect(memory).toMatchObject({ fits: true, time: null, steps: STEPS, devices: [{ id: 'CPU' }] });
    expect(memory.tokensPerStep).toBeGreaterThan(50);
    expect(memory.tokensPerStep).toBeLessThanOrEqual(128);
    const timed = await client.call('training.estimate', { ...asked, time: true });
    expect(timed.time?.stepSeconds).toBeGreaterThan(0);
    const { tokens: _, ...unread } = report;
    await expect(client.call('training.estimate', { ...asked, report: { ...unread, tokens: null } })).rejects.toMatchObject({ code: 'dataset.no-good-row' });
  });

  it('are refused before they are made', async () => {
    await expect(create({ data: { files: ['/nowhere.jsonl'] } })).rejects.toMatchObject({ code: 'file.not-found' });
    await expect(client.call('training.create', { modelId: 'none', plan })).rejects.toMatchObject({ code: 'model.not-found' });
    await expect(create({ schedule: { steps: 0 } })).rejects.toMatchObject({ code: 'request.invalid' });
    expect(await client.call('training.list', {})).toEqual([]);
  });

  it('train, are asked questions at each checkpoint, and tell what happens', async () => {
    const made = await create({ saveFirst: true, samples: { examples: 1, maxTokens: 6 } });
    expect(made).toMatchObject({ name: 'roman-numerals, Moebius Tiny MoE', steps: STEPS, interrupted: false });
    whole = await ended(made.id);
    expect(whole).toMatchObject({ error: null, unmoved: [], progress: { step: STEPS }, trained: { validates: true } });
    const metrics = await client.call('training.metrics', { id: made.id });
    expect(metrics.points.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(metrics.points[0]?.memoryBytes).toBeGreaterThan(10e6);
    expect(metrics.validations.map(({ step }) => step)).toEqual([0, 3, 6]);
    expect(metrics.movement?.step).toBe(STEPS);
    expect(metrics.data).toMatchObject({ rows: 40, good: 40, bad: 0 });
    const checkpoints = await client.call('training.checkpoints', { id: made.id });
    expect(checkpoints.map(({ step, samples }) => [step, samples.length])).toEqual([
      [6, 1],
      [3, 1],
      [0, 1],
    ]);
    expect(checkpoints[0]).toMatchObject({
      validationLoss: metrics.validations[2]?.loss,
      samples: [{ problem: null, prompt: expect.stringContaining('Roman') }],
    });
    expect(checkpoints[0]?.samples[0]?.expected).toMatch(/[IVXLCDM]/);
    const events = heard.filter(({ id }) => id === made.id).map(({ event }) => event.event);
    expect([...new Set(events)].sort()).toEqual(['data', 'ended', 'movement', 'opened', 'preparing', 'sample', 'saved', 'step', 'validation']);
    expect(existsSync(join(whole.folder, 'scratch')) ? readdirSync(join(whole.folder, 'scratch')) : []).toEqual([]);
  });

  it('leave files, and perplexities before and after', async () => {
    const { id } = whole;
    const progress: EventPayload<'training.progress'>[] = [];
    const unsubscribe = client.on('training.progress', (told) => progress.push(told));
    const merged = join(dataFolder, 'merged.gguf');
    const file = await client.call('training.export', { id, step: STEPS, format: 'merged', type: 'q8_0', path: merged, ticket: 'export' });
    unsubscribe();
    expect(file).toEqual({ path: merged, bytes: readFileSync(merged).length });
    expect(progress.at(-1)).toMatchObject({ ticket: 'export', fraction: 1 });
    const adapter = await client.call('training.adapter', { id, step: STEPS, ticket: 'adapter' });
    expect(readFileSync(adapter.path).subarray(0, 4).toString()).toBe('GGUF');
    expect(await client.call('training.adapter', { id, step: STEPS, ticket: 'adapter' })).toEqual(adapter);
    await expect(client.call('training.adapter', { id, step: 4, ticket: 'adapter' })).rejects.toMatchObject({ code: 'training.not-found' });
    const { base, tuned } = await client.call('training.evaluate', { id, step: STEPS, ticket: 'evaluate' });
    const { validations } = await client.call('training.metrics', { id });
    // the trainer computes with dequantised weights, llama.cpp with activations in 8 bits
    expect(Math.abs(base.loss - (validations[0]?.loss ?? 0))).toBeLessThan(0.02);
    expect(Math.abs(tuned.loss - (validations[2]?.loss ?? 0))).toBeLessThan(0.02);
    expect(base.targets).toBe(validations[0]?.targets);
    expect(tuned.perplexity).toBeLessThan(base.perplexity);
  });

  it('answer in words as they come, as merged models that are kept while they are asked where no adapter file holds them', async () => {
    const { id } = await create({ adapter: { attention: { loraRank: 2 }, wholeNorms: true }, schedule: { ...plan.schedule, steps: 1 } });
    const { folder } = await ended(id);
    const told: EventPayload<'training.answer'>[] = [];
    const unsubscribe = client.on('training.answer', (answer) => told.push(answer));
    const ask = (ticket: string) => client.call('training.ask', { id, step: 1, question: 'Write 14.', maxTokens: 6, ticket });
    const made = () => readdirSync(join(folder, 'merged')).map((name) => [name, statSync(join(folder, 'merged', name)).mtimeMs]);
    const first = await ask('first');
    const merged = made();
    expect(merged).toHaveLength(1);
    expect((await ask('second')).text).toBe(first.text);
    expect(made()).toEqual(merged);
    for (const ticket of ['first', 'second']) expect(told.flatMap((each) => (each.ticket === ticket ? [each.text] : [])).join('')).toBe(first.text);
    unsubscribe();
    await client.call('training.release', { id, step: 1 });
    expect(existsSync(join(folder, 'merged'))).toBe(false);
    expect(
      (await client.call('training.ask', { id: whole.id, step: STEPS, question: 'Write 14.', maxTokens: 6, ticket: 'adapter' })).tokensPerSecond,
    ).toBeGreaterThan(0);
    expect(existsSync(join(whole.folder, 'merged'))).toBe(false);
    await client.call('training.delete', { id });
  });

  it('pause and go on to the bit, as does one whose engine was killed, while chat has its own', async () => {
    const chat = (await client.call('app.info', {})).engine.processId;
    const { id } = await create();
    await until(id, ({ progress }) => progress.step >= 1);
    expect(await client.call('training.pause', { id })).toMatchObject({ state: 'paused', error: null });
    await client.call('training.resume', { id });
    await until(id, ({ state, progress }) => state === 'running' && progress.step >= 4);
    for (const engine of await trainingEngines()) process.kill(engine, 'SIGKILL');
    await expect(ended(id)).rejects.toThrow('engine.died');
    expect((await client.call('app.info', {})).engine).toMatchObject({ processId: chat, state: 'ready' });
    await client.call('training.resume', { id });
    await ended(id);
    expect(await losses(id)).toEqual(await losses(whole.id));
  });

  it('are interrupted by the end of the app, and go on to the bit', async () => {
    const { id } = await create();
    await until(id, ({ progress }) => progress.step >= 3);
    served.process.kill('SIGKILL');
    await endApp();
    await startApp();
    expect(await client.call('training.get', { id })).toMatchObject({ state: 'paused', interrupted: true });
    await client.call('training.resume', { id });
    await ended(id);
    expect(await losses(id)).toEqual(await losses(whole.id));
  });

  it('are compared, and deleted with all they left', async () => {
    const other = await create({ schedule: { ...plan.schedule, steps: 2 } });
    await ended(other.id);
    const { metrics, differences } = await client.call('training.compare', { ids: [whole.id, other.id] });
    expect(metrics.map(({ points }) => points.length)).toEqual([STEPS, 2]);
    expect(differences).toContainEqual({ setting: 'schedule.steps', values: [STEPS, 2] });
    const before = await client.call('training.list', {});
    await client.call('training.delete', { id: other.id });
    expect((await client.call('training.list', {})).length).toBe(before.length - 1);
    expect(existsSync(other.folder)).toBe(false);
    heard = [];
  });
});
