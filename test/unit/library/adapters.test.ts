import { describe, expect, it } from 'vitest';
import { type EventPayload, MoebiusError } from '../../../main/contract/index.ts';
import type { LoadedAdapter } from '../../../main/engine/protocol.ts';
import { GenerationService } from '../../../main/generation/generation-service.ts';
import { AdapterLibrary } from '../../../main/library/adapters/adapter-library.ts';
import type { Database } from '../../../main/storage/database.ts';
import { EngineDouble, generateResult, LibraryDouble, loadedModel } from '../../support/engine-double.ts';
import { openMemoryDatabase } from '../../support/memory-database.ts';

const content = { tensorCount: 2, parameterCount: 10, loraRankLeast: 4, loraRankMost: 4, loraAlpha: 8, changesExperts: true, changesRouter: false, bytes: 40 };

/** An engine that loads every adapter file but those with `bad` in their names, and a library over it. */
function bench(database: Database = openMemoryDatabase()) {
  let handle = 0;
  const engine = new EngineDouble({
    'adapter.load': ({ path }): LoadedAdapter => {
      if (String(path).includes('bad')) throw new MoebiusError('file.corrupt', 'It is damaged.');
      handle += 1;
      return { ...content, adapter: handle, path: String(path) };
    },
    'adapter.unload': () => ({}),
    generate: () => generateResult(),
  });
  const models = new LibraryDouble();
  const changed: EventPayload<'adapters.changed'>[] = [];
  const publish = (event: string, payload: object) => void (event === 'adapters.changed' && changed.push(payload as EventPayload<'adapters.changed'>)); // of this event
  const library = new AdapterLibrary({ engine, database, models, publish });
  const add = (path: string, scale = 0, modelId = 'tiny') => library.handlers['adapters.add']({ modelId, path, scale });
  const count = (method: string) => engine.calls.filter((call) => call.method === method).length;
  return { engine, models, library, add, changed, count, database };
}

describe('the adapters of a library', () => {
  it('checks a file, gives it an id and a number, and keeps it over a restart', async () => {
    const b = bench();
    expect(await b.add('/files/Pirate talk.gguf', 0.5)).toMatchObject({
      id: 'pirate-talk',
      number: 0,
      modelId: 'tiny',
      name: 'Pirate talk',
      scale: 0.5,
      content,
      problem: null,
    });
    expect(await b.add('/other/pirate-talk.gguf')).toMatchObject({ id: 'pirate-talk-2', number: 1 });
    expect(await b.add('/files/other.gguf', 0, 'small')).toMatchObject({ number: 0, modelId: 'small' });
    const again = bench(b.database);
    await again.library.start();
    expect(again.library.list()).toEqual(b.library.list());
    expect(again.library.list('small').map(({ id }) => id)).toEqual(['other']);
    expect(b.changed.at(-1)).toEqual({ modelId: 'small', adapters: b.library.list('small') });
  });

  it('refuses a file that the engine refuses, and keeps nothing of it', async () => {
    const b = bench();
    await expect(b.add('/files/bad.gguf')).rejects.toMatchObject({ code: 'file.corrupt' });
    expect(b.library.list()).toEqual([]);
  });

  it('reads a file again that is added again, under its old id', async () => {
    const b = bench();
    await b.add('/files/a.gguf', 1);
    expect(await b.add('/files/a.gguf', 0.25)).toMatchObject({ id: 'a', number: 0, scale: 0.25 });
    expect(b.library.list()).toHaveLength(1);
    expect([b.count('adapter.load'), b.count('adapter.unload')]).toEqual([2, 1]);
  });

  it('gives no number twice', async () => {
    const b = bench();
    await b.add('/files/a.gguf');
    await b.add('/files/b.gguf');
    await b.library.handlers['adapters.remove']({ id: 'b' });
    expect(await b.add('/files/c.gguf')).toMatchObject({ number: 2 });
    await expect(b.library.handlers['adapters.remove']({ id: 'b' })).rejects.toMatchObject({ code: 'adapter.not-found' });
  });

  it('goes with its model', async () => {
    const b = bench();
    await b.add('/files/a.gguf');
    await b.add('/files/b.gguf', 0, 'small');
    await b.library.modelRemoved('tiny');
    expect(b.library.list().map(({ id }) => id)).toEqual(['b']);
  });
});

describe('what a request has on', () => {
  it('is what it says, or else what the adapters are set to', async () => {
    const b = bench();
    await b.add('/files/a.gguf', 0.5);
    await b.add('/files/b.gguf');
    const use = async (choices?: { id: string; scale: number }[]) => (await b.library.use('tiny', b.models.loaded, choices)).uses;
    expect(await use()).toEqual([{ adapter: 1, scale: 0.5 }]);
    expect(await use([])).toEqual([]);
    expect(await use([{ id: 'b', scale: -1 }])).toEqual([{ adapter: 2, scale: -1 }]);
    expect(await use([{ id: 'a', scale: 0 }])).toEqual([]);
    await b.library.setScales('tiny', [{ id: 'b', scale: 2 }]);
    expect(await use()).toEqual([{ adapter: 2, scale: 2 }]);
    expect(b.count('adapter.load')).toBe(2); // each once, when it was added
  });

  it("leaves other models' adapters out where a conversation changes its model, and refuses them where a request names them", async () => {
    const b = bench();
    await b.add('/files/a.gguf');
    await b.add('/files/b.gguf', 0, 'small');
    const choices = [
      { id: 'a', scale: 1 },
      { id: 'b', scale: 1 },
    ];
    expect(b.library.chosen('tiny', choices)).toEqual([{ id: 'a', name: 'a', scale: 1 }]);
    await expect(b.library.use('tiny', b.models.loaded, choices)).rejects.toMatchObject({ code: 'adapter.not-found' });
    expect(() => b.library.chosen('tiny', [{ id: 'gone', scale: 1 }])).toThrow('There is no adapter "gone"');
  });

  it('is loaded again after the model was, and after the engine ended', async () => {
    const b = bench();
    await b.add('/files/a.gguf', 1);
    await b.library.use('tiny', loadedModel({ model: 4 }), undefined);
    await b.library.use('tiny', loadedModel({ model: 4 }), undefined);
    expect(b.count('adapter.load')).toBe(2);
    Object.assign(b.engine.status, { processId: 2 });
    await b.library.use('tiny', loadedModel({ model: 4 }), undefined);
    expect(b.count('adapter.load')).toBe(3);
  });

  it('fails with what is wrong with the file, shows it, and tries again', async () => {
    const b = bench();
    await b.add('/files/a.gguf', 1);
    const load = b.engine.answers['adapter.load'];
    b.engine.answers['adapter.load'] = () => {
      throw new MoebiusError('file.not-found', 'It is gone.');
    };
    const other = loadedModel({ model: 9 });
    await expect(b.library.use('tiny', other, undefined)).rejects.toMatchObject({ code: 'file.not-found' });
    expect(b.library.list()[0]?.problem).toMatchObject({ code: 'file.not-found' });
    if (load) b.engine.answers['adapter.load'] = load;
    await b.library.use('tiny', other, undefined);
    expect(b.library.list()[0]?.problem).toBeNull();
  });

  it('reaches the engine with the generation, and comes back with its outcome', async () => {
    const b = bench();
    await b.add('/files/a.gguf');
    const service = new GenerationService({ engine: b.engine, models: b.models, adapters: b.library });
    const outcome = await service.start({ modelId: 'tiny', input: { prompt: 'x' }, adapters: [{ id: 'a', scale: 0.5 }] }).done;
    expect(outcome.adapters).toEqual([{ id: 'a', name: 'a', scale: 0.5 }]);
    expect(b.engine.calls.at(-1)).toMatchObject({ method: 'generate', parameters: { adapters: [{ adapter: 1, scale: 0.5 }] } });
    await service.start({ modelId: 'tiny', input: { prompt: 'x' } }).done;
    expect(b.engine.calls.at(-1)?.parameters).not.toHaveProperty('adapters');
  });

  it('is nothing where there are no adapters', async () => {
    const { engine, models } = bench();
    const service = new GenerationService({ engine, models });
    await expect(service.start({ modelId: 'tiny', input: { prompt: 'x' }, adapters: [{ id: 'a', scale: 1 }] }).done).rejects.toMatchObject({
      code: 'adapter.not-found',
    });
  });
});
