// The queue's states, with a trainer that the test leads and a database in memory.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MoebiusError, type RunEvent, type TrainingRun } from '../../../main/contract/index.ts';
import type { Database } from '../../../main/storage/database.ts';
import { type Trainer, TrainingQueue } from '../../../main/training/jobs/queue.ts';
import { RunStore } from '../../../main/training/jobs/run-store.ts';
import { openMemoryDatabase } from '../../support/memory-database.ts';
import { trainingRun, trainingStep } from '../../support/training.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-queue-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A run under way, which the test ends. */
interface Led {
  id: string;
  hooks: Parameters<Trainer>[1];
  done(): void;
  fail(error: Error): void;
}

class Rig {
  readonly database: Database;
  readonly led: Led[] = [];
  readonly events: [string, unknown][] = [];
  /** what saving throws when a run is told to end */
  savingFails: Error | null = null;
  readonly queue: TrainingQueue;

  constructor(database = openMemoryDatabase()) {
    this.database = database;
    const train: Trainer = (run, hooks) =>
      new Promise((resolve, reject) => {
        this.led.push({ id: run.id, hooks, done: resolve, fail: reject });
        hooks.signal.addEventListener('abort', () => setTimeout(() => reject(this.savingFails ?? hooks.signal.reason), 5));
      });
    this.queue = new TrainingQueue({ store: new RunStore(database), train, publish: (event, payload) => this.events.push([event, payload]) });
  }

  add(id: string): Promise<TrainingRun> {
    return this.queue.add(trainingRun({ id, folder: join(folder, id) }));
  }

  /** The run that the trainer was given as the n-th. */
  async nth(n: number): Promise<Led> {
    for (let tries = 0; tries < 200; tries++) {
      const led = this.led[n];
      if (led) return led;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`no run ${n} was begun`);
  }

  async state(id: string, wanted: TrainingRun['state']): Promise<TrainingRun> {
    for (let tries = 0; tries < 200 && this.queue.get(id).state !== wanted; tries++) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(this.queue.get(id).state).toBe(wanted);
    return this.queue.get(id);
  }
}

const opened: RunEvent = { event: 'opened', resumed: null, step: 0, steps: 10, examples: 7, validates: true, parameters: 64, tensors: [], optimiserBytes: 512 };

describe('the training queue', () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });

  it('trains one run at a time, in their order', async () => {
    await rig.add('a');
    await rig.add('b');
    const first = await rig.nth(0);
    expect([first.id, rig.queue.get('b').state]).toEqual(['a', 'queued']);
    first.done();
    expect((await rig.nth(1)).id).toBe('b');
    expect((await rig.state('a', 'done')).endedAt).not.toBeNull();
    expect(rig.queue.list().map(({ id }) => id)).toEqual(['b', 'a']);
  });

  it('prepares, then runs, and has the newest figures', async () => {
    await rig.add('a');
    const { hooks } = await rig.nth(0);
    hooks.onEvent({ event: 'preparing', what: 'experts', fraction: 0.5 });
    expect(rig.queue.get('a')).toMatchObject({ state: 'preparing', preparing: { what: 'experts', fraction: 0.5 } });
    hooks.onEvent(opened);
    expect(rig.queue.get('a')).toMatchObject({ state: 'running', preparing: null, trained: { parameters: 64, optimiserBytes: 512 } });
    hooks.onEvent(trainingStep(4, { loss: 2, tokens: 100, seconds: 2, unmoved: [{ name: 'blk.0.a', expert: 3, hasGradient: true }] }));
    hooks.onEvent({ event: 'validation', step: 4, loss: 1.5, targets: 9, seconds: 1 });
    const { progress, unmoved } = rig.queue.get('a');
    expect(progress).toMatchObject({ step: 4, loss: 2, validationLoss: 1.5, tokensPerSecond: 50, secondsLeft: 12 });
    expect(unmoved).toEqual([{ name: 'blk.0.a', expert: 3, hasGradient: true }]);
    expect(rig.events.filter(([event]) => event === 'training.event')).toHaveLength(4);
  });

  it('pauses when what was done is saved, lets the next one train, and resumes behind it', async () => {
    await rig.add('a');
    await rig.add('b');
    (await rig.nth(0)).hooks.onEvent(opened);
    const pausing = rig.queue.pause('a');
    expect(rig.queue.get('a').state).toBe('pausing');
    expect(await pausing).toMatchObject({ state: 'paused', interrupted: false, error: null });
    const second = await rig.nth(1);
    expect(second.id).toBe('b');
    expect((await rig.queue.resume('a')).state).toBe('queued');
    second.done();
    expect((await rig.nth(2)).id).toBe('a');
  });

  it('pauses a queued run without its ever having begun', async () => {
    await rig.add('a');
    await rig.add('b');
    expect((await rig.queue.pause('b')).state).toBe('paused');
    (await rig.nth(0)).done();
    await rig.state('a', 'done');
    expect(rig.led).toHaveLength(1);
  });

  it('stops a run at work, and one that is paused', async () => {
    await rig.add('a');
    await rig.nth(0);
    expect(await rig.queue.stop('a')).toMatchObject({ state: 'stopped', error: null });
    await rig.queue.resume('a');
    await rig.queue.pause('a');
    expect((await rig.queue.stop('a')).endedAt).not.toBeNull();
  });

  it('leaves a run that is done as it is', async () => {
    await rig.add('a');
    (await rig.nth(0)).done();
    await rig.state('a', 'done');
    for (const change of ['pause', 'stop', 'resume'] as const) expect((await rig.queue[change]('a')).state).toBe('done');
  });

  it('keeps the error of one that failed, begins the next, and resumes it', async () => {
    await rig.add('a');
    await rig.add('b');
    (await rig.nth(0)).fail(new MoebiusError('engine.died', 'The engine died (SIGKILL).'));
    expect((await rig.state('a', 'failed')).error).toMatchObject({ code: 'engine.died' });
    (await rig.nth(1)).done();
    expect(await rig.queue.resume('a')).toMatchObject({ error: null });
    expect((await rig.nth(2)).id).toBe('a');
  });

  it('is paused with the reason when it could not save', async () => {
    rig.savingFails = new MoebiusError('disk.full', 'The checkpoint needs 9 bytes, 3 are free.');
    await rig.add('a');
    await rig.nth(0);
    expect(await rig.queue.pause('a')).toMatchObject({ state: 'paused', error: { code: 'disk.full' } });
  });

  it('is interrupted by the end of the app, and again after a kill; what was queued is still queued', async () => {
    await rig.add('a');
    await rig.add('b');
    (await rig.nth(0)).hooks.onEvent(opened);
    const killed = new Rig(rig.database); // as if the first had been killed: the table says that a is running
    await killed.queue.start();
    expect(killed.queue.get('a')).toMatchObject({ state: 'paused', interrupted: true, trained: { parameters: 64 } });
    expect((await killed.nth(0)).id).toBe('b');
    await killed.queue.dispose();
    const next = new Rig(rig.database);
    await next.queue.start();
    expect(next.queue.get('b')).toMatchObject({ state: 'paused', interrupted: true });
    expect(next.led).toHaveLength(0);
    expect(await next.queue.resume('b')).toMatchObject({ interrupted: false });
    expect((await next.nth(0)).id).toBe('b');
  });

  it('changes the order of what is queued, and only by naming all of it', async () => {
    for (const id of ['a', 'b', 'c']) await rig.add(id);
    await expect(rig.queue.reorder(['c'])).rejects.toMatchObject({ code: 'request.invalid', message: expect.stringContaining('2 runs') });
    await expect(rig.queue.reorder(['c', 'c'])).rejects.toMatchObject({ code: 'request.invalid' });
    await rig.queue.reorder(['c', 'b']);
    expect(['c', 'b'].map((id) => rig.queue.get(id).queuePlace)).toEqual([0, 1]);
    const stored = await new RunStore(rig.database).all();
    expect(stored.map(({ id, queuePlace }) => [id, queuePlace]).sort()).toEqual([
      ['a', null],
      ['b', 1],
      ['c', 0],
    ]);
    (await rig.nth(0)).done();
    expect((await rig.nth(1)).id).toBe('c');
  });

  it('deletes a run at work with its folder, and nobody finds it again', async () => {
    await rig.add('a');
    mkdirSync(join(folder, 'a', 'checkpoints'), { recursive: true });
    await rig.nth(0);
    await rig.queue.delete('a');
    expect(existsSync(join(folder, 'a'))).toBe(false);
    expect(() => rig.queue.get('a')).toThrow(expect.objectContaining({ code: 'training.not-found' }));
    expect(rig.events.at(-1)).toEqual(['training.removed', { id: 'a' }]);
    expect(await new RunStore(rig.database).all()).toEqual([]);
  });

  it('keeps all of a run in the database', async () => {
    const run = await rig.add('a');
    (await rig.nth(0)).done();
    await rig.state('a', 'done');
    const [stored] = await new RunStore(rig.database).all();
    expect(stored).toEqual(rig.queue.get('a'));
    expect(stored?.plan).toEqual(run.plan);
  });
});
