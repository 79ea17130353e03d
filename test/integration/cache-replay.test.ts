// The simulator of the expert cache against the cache that runs: the same routing, the same slots, the same policy.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { encodeTraceHeader, type TraceHeader } from '../../main/experts/trace-header.ts';
import { TraceWriter } from '../../main/experts/trace-writer.ts';
import { startEngine, tinyModel } from '../support/engine.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** Four experts of tiny-moe in each of its four layers, with room for the alignment of reads. */
const EXPERT_RAM = 16 * 240_000;
const REPLY = 60;

let folder: string;
let engine: EngineSupervisor;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-replay-'));
  engine = await startEngine();
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

interface RunOptions {
  slotAllocation?: 'shallow';
  /** shared out anew behind the load */
  slots?: number[];
}

/** Generates with a cache of four slots a layer, records the routing to `path`, and tells what the cache did meanwhile. */
async function run(policy: 'lru' | 'score' | 'lrfu' | 'foresight', path: string, { slots, ...how }: RunOptions = {}) {
  const options = { expertRamBytes: EXPERT_RAM, expertPolicy: policy, expertPrefetch: 'off' as const, sequences: 1, contextLength: 256, gpuLayers: 0, ...how };
  const loaded = await engine.call('model.load', { path: tinyModel, options });
  if (slots) await engine.call('experts.configure', { model: loaded.model, slots });
  const { name, architecture, moeLayers, expertCount, expertUsedCount } = loaded.inspection;
  const writer = await TraceWriter.create(path, { model: name, architecture, moeLayers, expertCount, expertUsedCount });
  const store = async () => (await engine.call('experts.status', { model: loaded.model })).store;
  // the first generation also waits for the decode thread to have warmed up
  const generate = (seed: number, onRoutes?: (frame: Parameters<TraceWriter['write']>[1]) => void) =>
    engine.call(
      'generate',
      {
        model: loaded.model,
        prompt: 'In the beginning God created',
        sampling: { seed },
        maxTokens: REPLY,
        ignoreEndOfGeneration: true,
        cachePrompt: false,
        routes: true,
      },
      { onRoutes },
    );
  await generate(1);
  const before = await store();
  const writes: Promise<void>[] = [];
  for (const seed of [2, 3, 4]) await generate(seed, (frame) => void writes.push(writer.write(seed, frame)));
  await Promise.all(writes);
  await writer.close();
  const after = await store();
  await engine.call('model.unload', { model: loaded.model });
  if (before === null || after === null) throw new Error('the model was loaded without a cache');
  return {
    slots: after.layers.map((layer) => layer.slots),
    hits: after.hits + after.late - before.hits - before.late,
    misses: after.misses - before.misses,
  };
}

describe('experts.replay', () => {
  it.each(['lru', 'score', 'lrfu', 'foresight'] as const)('%s: hits and misses are those of the live cache', async (policy) => {
    const path = join(folder, `${policy}.moetrace`);
    const live = await run(policy, path);
    expect(live.slots).toEqual([4, 4, 4, 4]);
    const replayed = (await engine.call('experts.replay', { path, slots: 4, policies: [policy] })).policies[0];
    expect(replayed?.slots).toEqual(live.slots);
    expect(replayed?.uses).toBe(live.hits + live.misses);
    // The live cache and its policy begin with what the first generation left, the replay with experts 0 to 3: 16 slots, and a history
    // that fades. 3% of the uses leave room for that and for nothing else.
    expect(Math.abs((replayed?.misses ?? 0) - live.misses)).toBeLessThan(0.03 * (live.hits + live.misses));
  });

  it.each([
    { title: 'given by hand', slots: [9, 2, 2, 3] },
    { title: 'more for the first layers', slotAllocation: 'shallow' as const },
  ])('with other slots for every layer ($title), too', async ({ title: _, ...how }) => {
    const path = join(folder, 'lopsided.moetrace');
    const live = await run('lrfu', path, how);
    expect(live.slots).toEqual(how.slots ?? [6, 5, 3, 2]);
    const replayed = (await engine.call('experts.replay', { path, layerSlots: live.slots, policies: ['lrfu'] })).policies[0];
    expect(replayed?.slots).toEqual(live.slots);
    expect(replayed?.uses).toBe(live.hits + live.misses);
    expect(Math.abs((replayed?.misses ?? 0) - live.misses)).toBeLessThan(0.03 * (live.hits + live.misses));
  });

  it('experts.choose: fewest reads, slots by the older half of the sequences', async () => {
    const path = join(folder, 'lru.moetrace');
    const choice = await engine.call('experts.choose', { path, totalSlots: 16 });
    const rows = (await engine.call('experts.replay', { path, totalSlots: 16 })).policies;
    const reads = (name: string) => rows.find(({ policy }) => policy === name)?.readsPerToken;
    expect(choice.policies.map(({ policy, readsPerToken }) => [policy, readsPerToken])).toEqual(choice.policies.map(({ policy }) => [policy, reads(policy)]));
    expect(reads(choice.policy)).toBe(Math.min(...choice.policies.map(({ readsPerToken }) => readsPerToken)));
    expect(choice.slots.reduce((sum, slots) => sum + slots, 0)).toBe(16);
    expect(choice.hitRate).toBeGreaterThanOrEqual(choice.uniformHitRate);
    const fixed = await engine.call('experts.choose', { path, totalSlots: 16, policy: 'lru', slotAllocation: 'uniform' });
    expect(fixed).toMatchObject({ policy: 'lru', slots: [4, 4, 4, 4] });
  });

  it('refuses slots for a number of layers that the model does not have', async () => {
    const { model } = await engine.call('model.load', { path: tinyModel, options: { expertRamBytes: EXPERT_RAM, contextLength: 64 } });
    await expect(engine.call('experts.configure', { model, slots: [4, 4] })).rejects.toMatchObject({ code: 'request.invalid' });
    await engine.call('model.unload', { model });
  });

  it('foresight reading ahead: the replay hits more often for more reads', async () => {
    const path = join(folder, 'foresight.moetrace');
    const { policies } = await engine.call('experts.replay', { path, slots: 4, policies: ['foresight'], readAhead: { most: 2 } });
    const [demand, ahead] = policies;
    if (demand === undefined || ahead === undefined) throw new Error('two replays were asked for');
    expect(ahead.readAhead).toBe(2);
    expect(ahead.uses).toBe(demand.uses);
    expect(ahead.hits).toBeGreaterThan(demand.hits);
    expect(ahead.misses + ahead.prefetched).toBeGreaterThan(demand.misses);
  });

  it('refuses parameters that contradict each other and policies that do not exist', async () => {
    const path = join(folder, 'lru.moetrace');
    await expect(engine.call('experts.replay', { path, slots: 4, slotsFactor: 2 })).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(engine.call('experts.replay', { path, slots: 4, policies: ['fifo'] })).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(engine.call('experts.replay', { path: join(folder, 'none.moetrace'), slots: 4 })).rejects.toMatchObject({ code: 'file.not-found' });
  });

  it('replays what is whole of a trace that was cut, and refuses an empty one', async () => {
    const bytes = readFileSync(join(folder, 'lru.moetrace'));
    const cut = join(folder, 'cut.moetrace');
    writeFileSync(cut, bytes.subarray(0, bytes.length - 7));
    const result = await engine.call('experts.replay', { path: cut, slots: 4 });
    expect(result.whole).toBe(false);
    expect(result.tokens).toBeGreaterThan(0);
    const header: TraceHeader = { model: 'm', architecture: 'a', moeLayers: [0], expertCount: 4, expertUsedCount: 1 };
    writeFileSync(cut, encodeTraceHeader(header));
    await expect(engine.call('experts.replay', { path: cut, slots: 4 })).rejects.toMatchObject({ code: 'request.invalid' });
  });

  it('stops when it is cancelled', async () => {
    const path = join(folder, 'long.moetrace');
    const header: TraceHeader = {
      model: 'm',
      architecture: 'a',
      moeLayers: Array.from({ length: 48 }, (_, layer) => layer),
      expertCount: 256,
      expertUsedCount: 8,
    };
    const writer = await TraceWriter.create(path, header);
    const tokenCount = 4000;
    const cells = tokenCount * header.moeLayers.length * header.expertUsedCount;
    const experts = Uint16Array.from({ length: cells }, (_, cell) => (cell * 7919 + (cell >> 9)) % header.expertCount);
    const frame = {
      firstPosition: 0,
      layerCount: header.moeLayers.length,
      expertUsedCount: header.expertUsedCount,
      tokenIds: new Int32Array(tokenCount),
      experts,
      weights: new Float32Array(cells).fill(0.125),
    };
    await writer.write(0, frame);
    await writer.close();
    const stop = new AbortController();
    const running = engine.call('experts.replay', { path, slots: 16, promptBatch: 1 }, { signal: stop.signal });
    setTimeout(() => stop.abort(), 300);
    const start = performance.now();
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    expect(performance.now() - start).toBeLessThan(5000);
    await expect(engine.call('ping', {})).resolves.toBeDefined();
  });
});
