// What `moebius train` and `moebius export` refuse: to go on as another run, to train where somebody else does, settings that contradict each other, to write over what they read.
import { spawn } from 'node:child_process';
import { copyFileSync, linkSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunEvent } from '../../main/contract/index.ts';
import { tinyModel } from '../support/engine.ts';
import { moebius, moebiusCommand } from '../support/moebius.ts';
import { roman, STEPS, TrainJobs } from '../support/train-jobs.ts';

const jobs = new TrainJobs('train-refusals');
beforeAll(async () => {
  await jobs.train('whole');
});
afterAll(() => jobs.remove());

describe('moebius train', () => {
  it('goes on with no other settings, base or rows than it was begun with', async () => {
    const refusal = async (changes: object) => {
      const { code, stderr } = await moebius(['train', '--config', jobs.write('whole', changes)]);
      return [code, JSON.parse(stderr)];
    };
    const refused = (message: string) => [1, { code: 'request.invalid', message: expect.stringContaining(message) }];
    expect(await refusal({ batchTokens: 128, seed: 7 })).toMatchObject(refused('batchTokens 256, now 128; seed 1, now 7.'));
    expect(await refusal({ data: { files: [roman], validation: 0.2, maxTokens: 64 } })).toMatchObject(refused('data.maxTokens 128, now 64.'));
    const rows = readFileSync(roman, 'utf8').trim().split('\n');
    const changed = join(jobs.folder, 'changed.jsonl');
    writeFileSync(changed, [...rows.slice(1), rows[0]?.replace(/"content": ?"/, '$&Well, ')].join('\n'));
    const data = { files: [changed], validation: 0.2, maxTokens: 128 };
    expect(await refusal({ data })).toMatchObject(refused('The run was begun with other data: '));
    const other = join(jobs.folder, 'other.gguf');
    expect((await moebius(['export', jobs.checkpoint('whole', STEPS), other, '--format', 'merged', '--type', 'f32'])).code).toBe(0);
    expect(await refusal({ model: other })).toMatchObject(refused('The run was begun with another base: '));
  });

  it('has nothing to do when all steps are done, though its base and its files are elsewhere now', async () => {
    const [model, file] = [join(jobs.folder, 'moved.gguf'), join(jobs.folder, 'moved.jsonl')];
    copyFileSync(tinyModel, model);
    copyFileSync(roman, file);
    const data = { files: [file], validation: 0.2, maxTokens: 128 };
    for (const changes of [{}, { model, data }, { data: { ...data, files: [join(jobs.folder, 'gone.jsonl')] } }]) {
      expect((await jobs.train('whole', changes)).map(({ event }) => event)).toEqual(['data', 'opened', 'ended']);
    }
  });

  it('trains in a folder that nobody else trains in', async () => {
    const [command, program] = moebiusCommand;
    const child = spawn(command, [program, 'train', '--config', jobs.write('shared'), '--json'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const steps: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const event: RunEvent = JSON.parse(line);
      if (event.event !== 'step') continue;
      if (steps.push(event.step) > 1) continue;
      child.kill('SIGSTOP');
      const other = await moebius(['train', '--config', jobs.write('shared')]);
      expect([other.code, JSON.parse(other.stderr)]).toMatchObject([
        1,
        { code: 'training.busy', message: expect.stringContaining(join(jobs.folder, 'shared')) },
      ]);
      child.kill('SIGCONT');
    }
    expect(steps).toHaveLength(STEPS);
    writeFileSync(join(jobs.folder, 'taken'), 'a file');
    const taken = await moebius(['train', '--config', jobs.write('taken')]);
    expect([taken.code, JSON.parse(taken.stderr)]).toMatchObject([
      1,
      { code: 'file.unwritable', message: expect.stringContaining(join(jobs.folder, 'taken')) },
    ]);
  });

  it('refuses settings that contradict each other', async () => {
    const refusal = async (changes: object) => JSON.parse((await moebius(['train', '--config', jobs.write('contradicting', changes)])).stderr);
    const data = { files: [roman], validation: 0 };
    expect(await refusal({ data })).toMatchObject({ code: 'request.invalid', message: expect.stringContaining('validateEvery') });
    expect(await refusal({ data, validateEvery: 0, samples: { examples: 2 } })).toMatchObject({ message: expect.stringContaining('samples without prompts') });
    const chosen = { method: 'gate', layers: { 0: [1] } };
    const both = await moebius(['train', '--config', jobs.write('both', { adapter: { experts: { loraRank: 4, chosen } } })]);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('and not both')]);
    const typed = await moebius(['export', jobs.checkpoint('whole', STEPS), join(jobs.folder, 'typed'), '--format', 'peft', '--type', 'f16']);
    expect(JSON.parse(typed.stderr)).toMatchObject({ code: 'request.invalid', message: expect.stringContaining('type') });
    const named = await moebius(['export', jobs.checkpoint('whole', STEPS), join(jobs.folder, 'named.gguf'), '--base-name', 'A/B']);
    expect(JSON.parse(named.stderr)).toMatchObject({ code: 'request.invalid', message: expect.stringContaining('baseName') });
  });

  it('refuses data that is partly pairs, pairs with another objective, and that objective without pairs', async () => {
    const pairs = join(import.meta.dirname, '../data/datasets/preferences.jsonl');
    const refusal = async (name: string, changes: Record<string, unknown>) => {
      const { code, stderr } = await moebius(['train', '--config', jobs.write(name, changes)]);
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

  it('tells what is wrong with a job', async () => {
    const bad = await moebius(['train', '--config', jobs.write('bad', { schedule: { steps: 0 } })]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toContain('schedule.steps');
    const none = await moebius(['train', '--config', join(jobs.folder, 'none.json')]);
    expect([none.code, JSON.parse(none.stderr)]).toMatchObject([1, { code: 'file.not-found' }]);
    const nothing = await moebius(['train', '--config', jobs.write('nothing', { adapter: {} })]);
    expect(nothing.code).toBe(1);
    expect(nothing.stderr).toContain('Nothing would be trained');
    const damaged = await moebius(['export', jobs.write('damaged'), join(jobs.folder, 'x.gguf')]);
    expect([damaged.code, JSON.parse(damaged.stderr)]).toMatchObject([1, { code: 'file.version' }]);
  });
});

it('moebius export takes no place of the checkpoint or its base', async () => {
  const own = join(jobs.folder, 'own.gguf');
  linkSync(jobs.checkpoint('whole', STEPS), own);
  for (const path of [jobs.checkpoint('whole', STEPS), own, tinyModel]) {
    const over = await moebius(['export', jobs.checkpoint('whole', STEPS), path]);
    expect([over.code, JSON.parse(over.stderr)]).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('would take its place') }]);
  }
});
