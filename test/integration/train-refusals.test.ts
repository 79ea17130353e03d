// What `moebius train` and `moebius export` refuse: to go on as another run, to train where somebody else does, settings that contradict each other, to write over what they read.
import { spawn } from 'node:child_process';
import { copyFileSync, linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunEvent } from '../../main/contract/index.ts';
import { tinyModel } from '../support/engine.ts';
import { moebius, moebiusCommand } from '../support/moebius.ts';
import { checkpointOf, roman, STEPS, writeTrainJob } from '../support/train-jobs.ts';

let folder: string;
const writeJob = (name: string, changes?: object) => writeTrainJob(folder, name, changes);
const checkpoint = (name: string, step: number) => checkpointOf(folder, name, step);

async function train(name: string, changes?: object): Promise<RunEvent[]> {
  const { code, stdout, stderr } = await moebius(['train', '--config', writeJob(name, changes), '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const all: RunEvent[] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  return all.filter(({ event }) => event !== 'preparing' && event !== 'data');
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-train-refusals-'));
  await train('whole');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('moebius train', () => {
  it('goes on with no other settings, base or rows than it was begun with', async () => {
    const refusal = async (changes: object) => {
      const { code, stderr } = await moebius(['train', '--config', writeJob('whole', changes)]);
      return [code, JSON.parse(stderr)];
    };
    const refused = (message: string) => [1, { code: 'request.invalid', message: expect.stringContaining(message) }];
    expect(await refusal({ batchTokens: 128, seed: 7 })).toMatchObject(refused('batchTokens 256, now 128; seed 1, now 7.'));
    expect(await refusal({ data: { files: [roman], validation: 0.2, maxTokens: 64 } })).toMatchObject(refused('data.maxTokens 128, now 64.'));
    const rows = readFileSync(roman, 'utf8').trim().split('\n');
    const changed = join(folder, 'changed.jsonl');
    writeFileSync(changed, [...rows.slice(1), rows[0]?.replace(/"content": ?"/, '$&Well, ')].join('\n'));
    const data = { files: [changed], validation: 0.2, maxTokens: 128 };
    expect(await refusal({ data })).toMatchObject(refused('The run was begun with other data: '));
    const other = join(folder, 'other.gguf');
    expect((await moebius(['export', checkpoint('whole', STEPS), other, '--format', 'merged', '--type', 'f32'])).code).toBe(0);
    expect(await refusal({ model: other })).toMatchObject(refused('The run was begun with another base: '));
  });

  it('has nothing to do when all steps are done, though its base and its files are elsewhere now', async () => {
    const [model, file] = [join(folder, 'moved.gguf'), join(folder, 'moved.jsonl')];
    copyFileSync(tinyModel, model);
    copyFileSync(roman, file);
    const data = { files: [file], validation: 0.2, maxTokens: 128 };
    for (const changes of [{}, { model, data }, { data: { ...data, files: [join(folder, 'gone.jsonl')] } }]) {
      expect((await train('whole', changes)).map(({ event }) => event)).toEqual(['opened', 'ended']);
    }
  });

  it('trains in a folder that nobody else trains in', async () => {
    const [command, program] = moebiusCommand;
    const child = spawn(command, [program, 'train', '--config', writeJob('shared'), '--json'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const steps: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const event: RunEvent = JSON.parse(line);
      if (event.event !== 'step') continue;
      if (steps.push(event.step) > 1) continue;
      child.kill('SIGSTOP');
      const other = await moebius(['train', '--config', writeJob('shared')]);
      expect([other.code, JSON.parse(other.stderr)]).toMatchObject([1, { code: 'training.busy', message: expect.stringContaining(join(folder, 'shared')) }]);
      child.kill('SIGCONT');
    }
    expect(steps).toHaveLength(STEPS);
    writeFileSync(join(folder, 'taken'), 'a file');
    const taken = await moebius(['train', '--config', writeJob('taken')]);
    expect([taken.code, JSON.parse(taken.stderr)]).toMatchObject([1, { code: 'file.unwritable', message: expect.stringContaining(join(folder, 'taken')) }]);
  });

  it('refuses settings that contradict each other', async () => {
    const refusal = async (changes: object) => JSON.parse((await moebius(['train', '--config', writeJob('contradicting', changes)])).stderr);
    const data = { files: [roman], validation: 0 };
    expect(await refusal({ data })).toMatchObject({ code: 'request.invalid', message: expect.stringContaining('validateEvery') });
    expect(await refusal({ data, validateEvery: 0, samples: { examples: 2 } })).toMatchObject({ message: expect.stringContaining('samples without prompts') });
    const chosen = { method: 'gate', layers: { 0: [1] } };
    const both = await moebius(['train', '--config', writeJob('both', { adapter: { experts: { loraRank: 4, chosen } } })]);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('and not both')]);
    const typed = await moebius(['export', checkpoint('whole', STEPS), join(folder, 'typed'), '--format', 'peft', '--type', 'f16']);
    expect(JSON.parse(typed.stderr)).toMatchObject({ code: 'request.invalid', message: expect.stringContaining('type') });
    const named = await moebius(['export', checkpoint('whole', STEPS), join(folder, 'named.gguf'), '--base-name', 'A/B']);
    expect(JSON.parse(named.stderr)).toMatchObject({ code: 'request.invalid', message: expect.stringContaining('baseName') });
  });
});

it('moebius export takes no place of the checkpoint or its base', async () => {
  const own = join(folder, 'own.gguf');
  linkSync(checkpoint('whole', STEPS), own);
  for (const path of [checkpoint('whole', STEPS), own, tinyModel]) {
    const over = await moebius(['export', checkpoint('whole', STEPS), path]);
    expect([over.code, JSON.parse(over.stderr)]).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('would take its place') }]);
  }
});
