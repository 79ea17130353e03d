// What `moebius train` says before its first step: what becomes of the rows, what the job will take.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { TrainEstimate } from '../../main/contract/index.ts';
import { tinyModel } from '../support/engine.ts';
import { linesOf, moebius } from '../support/moebius.ts';
import { eventsOf, STEPS, TrainJobs } from '../support/train-jobs.ts';

const jobs = new TrainJobs('train-beforehand');
afterAll(() => jobs.remove());

describe('moebius train', () => {
  it('says what a job would take before it begins, and refuses one that has no room', async () => {
    const asked = await moebius(['train', '--config', jobs.write('asked'), '--estimate', '--json']);
    const found: TrainEstimate = JSON.parse(asked.stdout);
    expect(found).toMatchObject({ fits: true, steps: STEPS, expertsOnDisk: 0, devices: [{ id: 'CPU' }] });
    expect(found.need).toBe(found.devices[0]?.need);
    expect(found.tokensPerStep).toBeGreaterThan(100);
    expect(found.tokensPerStep).toBeLessThanOrEqual(256);
    expect(found.time).toMatchObject({ stepSeconds: expect.any(Number), layers: 4, measuredLayers: 2 });
    expect(found.time?.seconds).toBeCloseTo((found.time?.stepSeconds ?? 0) * STEPS, 6);
    expect(existsSync(join(jobs.folder, 'asked', 'checkpoints'))).toBe(false);
    const asking = await moebius(['train', '--config', jobs.write('asked', { samples: { prompts: ['Hello'] } }), '--estimate', '--json']);
    const answering: TrainEstimate = JSON.parse(asking.stdout);
    const reserved = (of: TrainEstimate) => of.devices[0]?.reserved ?? Number.NaN;
    expect(reserved(found)).toBe(0);
    const aboutAnswering = (bytes: number) => {
      expect(bytes).toBeGreaterThan(2e6); // weights that are no experts, and what computing takes
      expect(bytes).toBeLessThan(400e6); // and what a process has itself, which is no two times the same
    };
    aboutAnswering(reserved(answering));
    const told = await moebius(['train', '--config', jobs.write('asked'), '--estimate']);
    expect(told.stdout).toMatch(/^data: 40 rows, 40 good, 0 bad; .*It fits\.\nAbout [\d.]+ s a step/s);
    expect(JSON.parse(asked.stdout).data).toMatchObject({ rows: 40, good: 40, bad: 0, cut: 0 });
    const small = await moebius(['train', '--config', jobs.write('small', { devices: { experts: [{ device: 'CPU', bytes: 100_000 }] } })]);
    expect([small.code, JSON.parse(small.stderr)]).toMatchObject([
      1,
      { code: 'model.does-not-fit', details: { device: 'CPU', have: 100_000, need: expect.any(Number) } },
    ]);
    const full = await moebius(['train', '--config', jobs.write('full', { devices: { reservedBytes: 2 ** 50 }, samples: { examples: 1 } })]);
    const refusal: { code: string; details: { reserved: number } } = JSON.parse(full.stderr);
    expect(refusal.code).toBe('model.does-not-fit');
    aboutAnswering(refusal.details.reserved - 2 ** 50);
  });

  it('tells which rows it does not learn, and tells it again when it goes on', async () => {
    const path = join(jobs.folder, 'rows.jsonl');
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
    expect((await jobs.train('dropped', changes))[0]).toMatchObject(expected);
    expect(eventsOf(readFileSync(join(jobs.folder, 'dropped', 'metrics.jsonl'), 'utf8'))[0]).toMatchObject(expected);
    const { stdout } = await moebius(['train', '--config', jobs.write('dropped', changes)]); // which encodes nothing
    expect(stdout).toMatch(/^data: 6 rows, 4 good, 2 bad; 4 for training, 0 for validation\n {2}1 left out: more tokens/m);
    expect(stdout).toContain(`${path}:2: row.not-json`);
    expect(stdout).toContain(`${path}:4 repeats ${path}:1`);
    const told = await moebius(['eval', tinyModel, '--data', path, '--json']);
    expect(linesOf(told.stdout).result).toMatchObject({ data: { rows: 6, bad: 2, badRows: expected.badRows } });
  });
});
