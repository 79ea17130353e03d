import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CacheTuner } from '../../../main/experts/cache-tuner.ts';
import { EngineDouble, loadedModel, routesFrame } from '../../support/engine-double.ts';

const store = { storage: 'slots', policy: 'score', layers: [{ slots: 3 }, { slots: 3 }] };
const chosen = {
  policy: 'lrfu',
  slotAllocation: 'marginal',
  slots: [2, 4],
  tokens: 300,
  hitRate: 0.6,
  uniformHitRate: 0.5,
  policies: [{ policy: 'lru', hitRate: 0.4, readsPerToken: 2 }],
};
const withStore = (options = {}) => loadedModel({ options: { expertRamBytes: 1000, ...options } });
const ids = (count: number) => Array.from({ length: count }, (_, id) => id);

let folder: string;
let engine: EngineDouble;
let tuner: CacheTuner;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-tuner-'));
  engine = new EngineDouble({ 'experts.status': () => ({ store }), 'experts.choose': () => chosen, 'experts.configure': () => ({ store }) });
  tuner = new CacheTuner({ engine, folder });
});
afterEach(() => rmSync(folder, { recursive: true }));

const asked = (method: string) => engine.calls.filter((call) => call.method === method).map(({ parameters }) => parameters);

function generation(tokens: number, loaded = withStore()): void {
  const listener = tuner.listen('m', loaded);
  listener?.onRoutes(routesFrame(0, ids(tokens)));
  listener?.finish(4);
}

it('chooses by what was recorded once the model is idle, and configures what differs', async () => {
  generation(300);
  await vi.waitFor(() => expect(tuner.stateOf('m')?.choice?.policy).toBe('lrfu'));
  expect(asked('experts.choose')).toEqual([expect.objectContaining({ totalSlots: 6, policy: 'auto', slotAllocation: 'auto' })]);
  expect(asked('experts.configure')).toEqual([{ model: 3, policy: 'lrfu', slots: [2, 4] }]);
  expect(tuner.stateOf('m')).toMatchObject({ modes: { policy: 'auto' }, choice: { hitRate: 0.6 } });
});

it('waits for enough routing and for the last generation', async () => {
  generation(100);
  const running = tuner.listen('m', withStore());
  generation(300);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(engine.calls).toEqual([]);
  running?.finish(null);
  await vi.waitFor(() => expect(tuner.stateOf('m')?.choice).not.toBeNull());
});

it('stops choosing when a generation begins, and chooses behind it', async () => {
  engine.answers['experts.choose'] = (_, { signal }) =>
    new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('cancelled')), { once: true }));
  generation(300);
  await vi.waitFor(() => expect(asked('experts.choose')).toHaveLength(1));
  const running = tuner.listen('m', withStore());
  expect(tuner.stateOf('m')?.choice).toBeNull();
  engine.answers['experts.choose'] = () => chosen;
  running?.finish(0);
  await vi.waitFor(() => expect(tuner.stateOf('m')?.choice?.policy).toBe('lrfu'));
});

it('a later life of the model is tuned at its load by what an earlier one recorded', async () => {
  generation(300);
  await vi.waitFor(() => expect(tuner.stateOf('m')?.choice).not.toBeNull());
  expect(readdirSync(folder)).toHaveLength(1);
  tuner.unloaded('m');
  expect(tuner.stateOf('m')).toBeNull();
  const later = new CacheTuner({ engine, folder });
  later.loaded('m', { ...withStore(), model: 4 });
  await vi.waitFor(() => expect(later.stateOf('m')?.choice?.policy).toBe('lrfu'));
  expect(asked('experts.configure').at(-1)).toMatchObject({ model: 4 });
});

it('leaves alone what was fixed, and tunes again when it is set to auto', async () => {
  const fixed = withStore({ expertPolicy: 'lru', slotAllocation: 'uniform' });
  generation(300, fixed);
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(engine.calls).toEqual([]);
  tuner.configured('m', { slotAllocation: 'marginal' });
  await vi.waitFor(() => expect(asked('experts.choose')).toEqual([expect.objectContaining({ policy: 'lru', slotAllocation: 'marginal' })]));
});

it('leaves a ring alone, which has nothing to choose', async () => {
  engine.answers['experts.status'] = () => ({ store: { ...store, storage: 'ring', policy: 'ring' } });
  generation(300);
  await vi.waitFor(() => expect(asked('experts.status')).toHaveLength(1));
  await tuner.dispose();
  expect(asked('experts.choose')).toEqual([]);
  expect(asked('experts.configure')).toEqual([]);
});

it('does not listen to models whose experts are all loaded, or whose router is not seen', () => {
  expect(tuner.listen('m', loadedModel())).toBeNull();
  expect(tuner.listensTo(loadedModel({ options: { expertRamBytes: 1000 }, telemetry: false }))).toBe(false);
});

it('a failure leaves the cache as it is', async () => {
  engine.answers['experts.choose'] = () => Promise.reject(new Error('no'));
  generation(300);
  await vi.waitFor(() => expect(asked('experts.choose')).toHaveLength(1));
  await tuner.dispose();
  expect(asked('experts.configure')).toEqual([]);
});
