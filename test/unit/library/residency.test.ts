// Loading, unloading and coming back, in every order.
import { describe, expect, it, vi } from 'vitest';
import type { ModelCard } from '../../../main/contract/index.ts';
import { DoubledEngine, openLibrary, type TestLibrary } from './support.ts';

const id = 'tiny-moe';

/** A library whose embedded model has been loaded by the first start and unloaded again, with a fresh count of calls. */
async function openUnloaded(): Promise<TestLibrary> {
  const test = await openLibrary();
  await Promise.all([test.library.acquire(id), test.library.scan()]);
  await test.library.handlers['models.unload']({ id });
  test.engine.calls.length = 0;
  test.events.length = 0;
  return test;
}

const stateOf = (test: TestLibrary) => test.library.get(id).state.state;
const load = (test: TestLibrary, contextLength?: number) => test.library.load(id, contextLength === undefined ? undefined : { contextLength });
const held = (test: TestLibrary, count = 1) => vi.waitFor(() => expect(test.engine.held).toHaveLength(count), { interval: 1 });
const states = (cards: ModelCard[]) => cards.map(({ state }) => state.state).filter((state, index, all) => state !== all[index - 1]);

describe('load', () => {
  it('goes through loading to loaded, and tells so', async () => {
    const test = await openUnloaded();
    const card = await load(test, 64);
    expect(card.state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 64 } } });
    expect(states(test.payloads('models.changed'))).toEqual(['loading', 'loaded']);
    expect(test.library.loadedIds()).toEqual([id]);
  });

  it('while it loads with the same options is the same load', async () => {
    const test = await openUnloaded();
    await Promise.all([load(test, 64), load(test, 64), load(test)]);
    expect(test.engine.count('model.load')).toBe(1);
  });

  it('while it loads with other options cancels the first one', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const first = expect(load(test, 64)).rejects.toMatchObject({ code: 'cancelled' });
    await held(test);
    const second = load(test, 128);
    await first;
    await held(test, 2);
    test.engine.held[1]?.succeed();
    expect((await second).state).toMatchObject({ loaded: { options: { contextLength: 128 } } });
    expect(test.engine.resident.size).toBe(1);
  });

  it('of a loaded model with the same options, or none given, does nothing', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    await load(test, 64);
    await load(test);
    expect(test.engine.count('model.load')).toBe(1);
  });

  it('of a loaded model with other options unloads it first', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    const card = await load(test, 128);
    expect(card.state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 128 } } });
    expect(test.engine.calls.map(({ method }) => method)).toEqual(['model.load', 'model.unload', 'model.load']);
    expect(test.engine.resident.size).toBe(1);
  });

  it('that the engine refuses is `failed` with its error, and can be tried again', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const failed = expect(load(test)).rejects.toThrow('no memory');
    await held(test);
    test.engine.held[0]?.fail(new Error('no memory'));
    await failed;
    expect(test.library.get(id).state).toMatchObject({ state: 'failed', error: { code: 'internal' } });
    test.engine.holdLoads = false;
    expect((await load(test)).state.state).toBe('loaded');
  });

  it('waits for an engine that is starting', async () => {
    const test = await openUnloaded();
    test.engine.die();
    const loading = load(test);
    expect(stateOf(test)).toBe('loading');
    test.engine.comeBack();
    expect((await loading).state.state).toBe('loaded');
  });

  it('with an engine that has given up fails with its error', async () => {
    const test = await openUnloaded();
    test.engine.die('stopped');
    await expect(load(test)).rejects.toMatchObject({ code: 'engine.crash-loop' });
  });

  it('tells progress at most ten times a second', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const loading = load(test);
    await held(test);
    const started = performance.now();
    for (let step = 0; step < 60; step += 1) {
      test.engine.held[0]?.options.onProgress?.({ fraction: step / 60, stage: 'weights' });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const elapsed = performance.now() - started;
    const fractions = test.payloads('models.changed').flatMap(({ state }) => (state.state === 'loading' ? [state.fraction] : []));
    expect(fractions.length).toBeGreaterThanOrEqual(3);
    expect(fractions.length).toBeLessThanOrEqual(elapsed / 100 + 2); // both ends
    test.engine.held[0]?.succeed();
    await loading;
  });

  it('takes options from the settings, then the model, then the call', async () => {
    const test = await openUnloaded();
    await test.settings.set({ threads: 3, devices: ['CPU'], loadDefaults: { contextLength: 16, batch: 32, sequences: 2, threads: 9 } });
    await test.library.handlers['models.setDefaults']({ id, defaults: { load: { batch: 64, sequences: 3 } } });
    await test.library.load(id, { sequences: 4 });
    expect(test.engine.calls.filter(({ method }) => method === 'model.load').at(-1)?.parameters).toMatchObject({
      options: { contextLength: 16, threads: 3, devices: ['CPU'], batch: 64, sequences: 4 },
    });
  });
});

describe('cancel and unload', () => {
  it('cancelLoad while loading ends in `unloaded`, and the caller hears `cancelled`', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const cancelled = expect(load(test)).rejects.toMatchObject({ code: 'cancelled' });
    await held(test);
    await test.library.handlers['models.cancelLoad']({ id });
    await cancelled;
    expect(stateOf(test)).toBe('unloaded');
    expect(test.library.loadedIds()).toEqual([]);
  });

  it('cancelLoad of a loaded model leaves it', async () => {
    const test = await openUnloaded();
    await load(test);
    await test.library.handlers['models.cancelLoad']({ id });
    expect(stateOf(test)).toBe('loaded');
  });

  it('cancelLoad of an unloaded model does nothing', async () => {
    const test = await openUnloaded();
    await test.library.handlers['models.cancelLoad']({ id });
    expect(test.engine.calls).toEqual([]);
  });

  it('unload while loading cancels; a load right after it loads', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const cancelled = expect(load(test, 64)).rejects.toMatchObject({ code: 'cancelled' });
    await held(test);
    const unloading = test.library.handlers['models.unload']({ id });
    const again = load(test, 64);
    await Promise.all([cancelled, unloading]);
    await held(test, 2);
    test.engine.held[1]?.succeed();
    expect((await again).state.state).toBe('loaded');
    expect(test.engine.resident.size).toBe(1);
  });

  it('a cancellation that the engine answers too late does not leave the model behind', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const cancelled = expect(load(test)).rejects.toMatchObject({ code: 'cancelled' });
    await held(test);
    test.engine.held[0]?.succeed(); // answered, but not yet heard
    const unloading = test.library.handlers['models.unload']({ id });
    await Promise.all([cancelled, unloading]);
    expect(test.engine.resident.size).toBe(0);
    expect(stateOf(test)).toBe('unloaded');
  });

  it('unload of an unloaded, a loaded and again an unloaded model', async () => {
    const test = await openUnloaded();
    await test.library.handlers['models.unload']({ id });
    await load(test);
    await Promise.all([test.library.handlers['models.unload']({ id }), test.library.handlers['models.unload']({ id })]);
    expect(stateOf(test)).toBe('unloaded');
    expect(test.engine.count('model.unload')).toBe(1);
  });

  it('unload of a failed model clears the error', async () => {
    const test = await openUnloaded();
    test.engine.die('stopped');
    await expect(load(test)).rejects.toThrow();
    await test.library.handlers['models.unload']({ id });
    expect(stateOf(test)).toBe('unloaded');
  });

  it('of a model that is not known is model.not-found', async () => {
    const test = await openUnloaded();
    await expect((async () => test.library.handlers['models.unload']({ id: 'x' }))()).rejects.toMatchObject({ code: 'model.not-found' });
  });
});

describe('the end of the engine', () => {
  it('brings a loaded model back with the same options; acquire waits for it', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    test.engine.die();
    expect(test.library.get(id).state).toMatchObject({ state: 'loading', stage: 'restart' });
    expect(test.library.loadedIds()).toEqual([id]);
    const acquired = test.library.acquire(id);
    test.engine.comeBack();
    const { loaded } = await acquired;
    expect(loaded.options).toEqual({ contextLength: 64 });
    expect(test.engine.resident.has(loaded.model)).toBe(true);
    expect(stateOf(test)).toBe('loaded');
  });

  it('is noticed when the process changed without a word in between', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    test.engine.resident.clear();
    test.engine.setStatus({ processId: 4711 });
    const { loaded } = await test.library.acquire(id);
    expect(test.engine.resident.has(loaded.model)).toBe(true);
  });

  it('while unresponsive leaves the model as it is', async () => {
    const test = await openUnloaded();
    await load(test);
    test.engine.setStatus({ state: 'unresponsive' });
    expect(stateOf(test)).toBe('loaded');
    test.engine.setStatus({ state: 'ready' });
    expect(test.engine.count('model.load')).toBe(1);
  });

  it('while a model is loading fails that load', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const failed = expect(load(test)).rejects.toMatchObject({ code: 'engine.died' });
    await held(test);
    test.engine.die();
    await failed;
    expect(test.library.get(id).state).toMatchObject({ state: 'failed', error: { code: 'engine.died' } });
    test.engine.comeBack();
    expect(test.engine.count('model.load')).toBe(1);
  });

  it('while a model comes back is survived once; a second time it is the culprit', async () => {
    const test = await openUnloaded();
    await load(test);
    test.engine.holdLoads = true;
    test.engine.die();
    for (let time = 0; time < 2; time += 1) {
      test.engine.comeBack();
      await held(test);
      test.engine.die();
    }
    await vi.waitFor(() => expect(test.library.get(id).state).toMatchObject({ state: 'failed', error: { code: 'engine.died' } }));
    test.engine.comeBack();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(test.engine.count('model.load')).toBe(3);
  });

  it('for good fails the model; a restart by the user brings it back', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    test.engine.die('stopped');
    await vi.waitFor(() => expect(test.library.get(id).state).toMatchObject({ state: 'failed', error: { code: 'engine.crash-loop' } }));
    await expect(test.library.acquire(id)).rejects.toMatchObject({ code: 'engine.crash-loop' });
    test.engine.comeBack();
    await vi.waitFor(() => expect(test.library.get(id).state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 64 } } }));
  });

  it('then an unload while it comes back leaves it unloaded', async () => {
    const test = await openUnloaded();
    await load(test);
    test.engine.die();
    await test.library.handlers['models.unload']({ id });
    test.engine.comeBack();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(stateOf(test)).toBe('unloaded');
    expect(test.engine.resident.size).toBe(0);
  });

  it('during a reload with other options still ends in those options', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    test.engine.die();
    const reloading = load(test, 128);
    test.engine.comeBack();
    expect((await reloading).state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 128 } } });
    expect(test.engine.resident.size).toBe(1);
  });

  it('at the very moment of a reload loads once', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    const reloading = load(test, 128);
    test.engine.die();
    test.engine.comeBack();
    expect((await reloading).state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 128 } } });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(test.engine.count('model.load')).toBe(2);
    expect(test.engine.resident.size).toBe(1);
  });

  it('twenty times in a row loses nothing', async () => {
    const test = await openUnloaded();
    await load(test, 64);
    for (let time = 0; time < 20; time += 1) {
      test.engine.die();
      setTimeout(() => test.engine.comeBack(), time % 3);
      const { loaded } = await test.library.acquire(id);
      expect(test.engine.resident.has(loaded.model)).toBe(true);
    }
  });
});

describe('acquire', () => {
  it('loads a model that is not loaded', async () => {
    const test = await openUnloaded();
    const { card, loaded } = await test.library.acquire(id);
    expect(card.state.state).toBe('loaded');
    expect(loaded.inspection.expertCount).toBe(32);
  });

  it('given up by its caller leaves the load to the others', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const controller = new AbortController();
    const given = expect(test.library.acquire(id, controller.signal)).rejects.toMatchObject({ code: 'cancelled' });
    const other = test.library.acquire(id);
    await held(test);
    controller.abort();
    await given;
    test.engine.held[0]?.succeed();
    expect((await other).card.state.state).toBe('loaded');
  });

  it('takes the model as the load that took over leaves it', async () => {
    const test = await openUnloaded();
    test.engine.holdLoads = true;
    const acquired = test.library.acquire(id);
    await held(test);
    const reloading = load(test, 128);
    await held(test, 2);
    test.engine.held[1]?.succeed();
    await reloading;
    expect((await acquired).loaded.options).toEqual({ contextLength: 128 });
  });

  it('of an unknown model is model.not-found', async () => {
    const test = await openUnloaded();
    await expect(test.library.acquire('nothing')).rejects.toMatchObject({ code: 'model.not-found' });
  });
});

describe('the next start', () => {
  it('loads the embedded model the first time', async () => {
    const test = await openLibrary();
    await vi.waitFor(() => expect(stateOf(test)).toBe('loaded'));
  });

  it('loads what was loaded, with the options of its load', async () => {
    const first = await openUnloaded();
    await load(first, 64);
    const test = await first.reopen();
    await vi.waitFor(() => expect(test.library.get(id).state).toMatchObject({ state: 'loaded', loaded: { options: { contextLength: 64 } } }));
  });

  it('loads nothing if nothing was loaded, or if the setting is off', async () => {
    const first = await openUnloaded();
    const second = await first.reopen();
    await second.library.scan();
    expect(stateOf(second)).toBe('unloaded');
    await load(second);
    await second.settings.set({ reloadModels: false });
    const third = await second.reopen();
    await third.library.scan();
    expect(stateOf(third)).toBe('unloaded');
  });

  it('does not wait for the engine', async () => {
    const engine = new DoubledEngine();
    engine.setStatus({ state: 'starting', processId: null });
    const test = await openLibrary({ engine });
    expect(stateOf(test)).toBe('loading');
    engine.comeBack();
    await vi.waitFor(() => expect(stateOf(test)).toBe('loaded'));
  });
});
