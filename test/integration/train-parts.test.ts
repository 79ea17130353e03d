// What `moebius train` can train, each part of a model by itself: what it says of it, and what exports hold of it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { linesOf, moebius } from '../support/moebius.ts';
import { writeSmallDeepseek } from '../support/small-deepseek.ts';
import { lossesOf, openedOf, roman, TrainJobs } from '../support/train-jobs.ts';

const jobs = new TrainJobs('train-parts');
afterAll(() => jobs.remove());

describe('moebius train', () => {
  it('trains deepseek2, whose attention no adapter file holds, and merges what was learnt into a model that llama.cpp computes alike', async () => {
    const model = join(jobs.folder, 'deepseek2.gguf');
    writeSmallDeepseek(model);
    const all = await jobs.train('deepseek2', {
      model,
      data: { files: [roman], validation: 0 },
      validateEvery: 0,
      adapter: Object.fromEntries(['attention', 'ffn', 'experts', 'shared', 'router'].map((part) => [part, { loraRank: 4 }])),
      schedule: { steps: 3, learningRate: 2e-2 },
      batchTokens: 4096, // all examples: a step's loss is that of the model behind the step before
      saveEvery: 2,
      clip: 0,
    });
    const [first = 0, , last = 0] = lossesOf(all);
    expect(last).toBeLessThan((first ?? 0) - 0.5); // fifty times what the losses below may be apart
    const merged = join(jobs.folder, 'deepseek2-merged.gguf');
    expect((await moebius(['export', jobs.checkpoint('deepseek2', 2), merged, '--format', 'merged'])).code).toBe(0);
    const { loss } = linesOf<{ loss: number }>((await moebius(['eval', merged, '--data', roman, '--json'])).stdout).result;
    expect(Math.abs(loss - (last ?? 0))).toBeLessThan(0.01); // llama.cpp keeps keys and values in 16 bits
    const refused = await moebius(['export', jobs.checkpoint('deepseek2', 2), join(jobs.folder, 'deepseek2-adapter.gguf')]);
    expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([1, { code: 'model.unsupported', message: expect.stringContaining('attn_q') }]);
  });

  it('learns from preferences which answer is the better one', async () => {
    const path = join(jobs.folder, 'preferences.jsonl');
    const pairs = Array.from({ length: 16 }, (_, i) => ({ prompt: `Say ${i}.`, chosen: `It is ${i}.`, rejected: 'No.' }));
    writeFileSync(path, pairs.map((pair) => JSON.stringify(pair)).join('\n'));
    const changes = {
      data: { files: [path], validation: 0.25 }, // all pairs: the objective is "dpo"
      dpo: { beta: 0.2 },
      schedule: { steps: 6, learningRate: 3e-3 },
      validateEvery: 3,
    };
    const all = await jobs.train('preferences', changes);
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
    const all = await jobs.train('routers', {
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
    const refused = await moebius(['train', '--config', jobs.write('untrained', { routerGradient: { kind: 'sparse-mixer' } })]);
    expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('wholeRouter') }]);
  });

  it('adapts only the experts that its data uses most, goes on with them, and exports them', async () => {
    const adapter = { experts: { loraRank: 4, chosen: { method: 'tokens', topP: 0.3, sampleTokens: 500 } } };
    const all = await jobs.trainFromTheStart('chosen', { adapter, schedule: { steps: 2, learningRate: 3e-3 } });
    const opened = openedOf(all);
    expect(all.slice(0, opened && all.indexOf(opened))).toEqual(
      expect.arrayContaining(['data', 'experts'].map((what) => ({ event: 'preparing', what, fraction: expect.any(Number) }))),
    );
    const chosen = opened?.chosenExperts;
    expect(chosen?.sampledTokens).toBeGreaterThanOrEqual(500);
    for (const { affinities } of chosen?.layers ?? []) expect(affinities.reduce((sum, each) => sum + each, 0)).toBeGreaterThanOrEqual(0.3 - 1e-9);
    const rest = await jobs.train('chosen', { adapter, schedule: { steps: 4, learningRate: 3e-3 } });
    expect(openedOf(rest)).toMatchObject({ event: 'opened', step: 2, chosenExperts: chosen });
    const moved = rest.flatMap((event) => (event.event === 'movement' ? [event.tensors] : [])).at(-1) ?? [];
    for (const { tensor, norms } of moved) {
      const experts = chosen?.layers.find(({ layer }) => layer === Number(tensor.split('.')[1]))?.experts ?? [];
      expect(norms.flatMap((norm, expert) => (norm > 0 ? [expert] : []))).toEqual(experts.filter((expert) => (norms[expert] ?? 0) > 0));
    }
    for (const format of ['adapter', 'peft']) {
      const made = await moebius(['export', jobs.checkpoint('chosen', 4), join(jobs.folder, `chosen-${format}`), '--format', format]);
      expect([made.code, made.stderr]).toEqual([0, '']);
    }
    const none = await moebius(['train', '--config', jobs.write('strange', { adapter: { experts: { loraRank: 4, chosen: { layers: { 9: [0] } } } } })]);
    expect([none.code, JSON.parse(none.stderr)]).toMatchObject([1, { code: 'request.invalid', message: expect.stringContaining('layer 9') }]);
  });

  it('trains the embedding and norms, which adapter files leave out only if asked', async () => {
    await jobs.train('ends', {
      adapter: { attention: { loraRank: 2 }, wholeEmbedding: true, wholeNorms: true },
      schedule: { steps: 1, learningRate: 1e-3 },
      saveFirst: false,
    });
    const refused = await moebius(['export', jobs.checkpoint('ends', 1), join(jobs.folder, 'ends.gguf')]);
    expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([1, { code: 'model.unsupported', message: expect.stringContaining('--pairs-only') }]);
    expect((await moebius(['export', jobs.checkpoint('ends', 1), join(jobs.folder, 'ends.gguf'), '--pairs-only'])).code).toBe(0);
  });
});
