// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from 'vitest';
import type { EngineStatus, ModelCard, Settings } from '../../../main/contract/index.ts';
import { MoebiusError } from '../../../main/contract/index.ts';
import { createAppStore } from '../../../renderer/stores/app.ts';
import { createChatsStore } from '../../../renderer/stores/chats.ts';
import { commandForKeys, createCommandsStore } from '../../../renderer/stores/commands.ts';
import { errorHelp } from '../../../renderer/stores/error-help.ts';
import { createStores } from '../../../renderer/stores/index.tsx';
import { chooseModel } from '../../../renderer/stores/models.ts';
import { createNoticesStore } from '../../../renderer/stores/notices.ts';
import { createSettingsStore } from '../../../renderer/stores/settings.ts';
import { applyTheme } from '../../../renderer/stores/theme.ts';
import { countBelow, pathTo, siblingsOfAll } from '../../../renderer/stores/tree.ts';
import { CoreDouble, message } from './core-double.ts';

const engine: EngineStatus = { state: 'ready', processId: 1, restarts: 0, llamaVersion: '0.5.0', backends: ['CPU'], error: null };
const summary = (id: string, updatedAt: number) => ({ id, title: id, modelId: null, messageCount: 0, createdAt: 0, updatedAt, snippet: null });
// Only what chooseModel and the notices read.
const card = (id: string, state: ModelCard['state']['state'], source: ModelCard['source'] = 'folder') =>
  ({ id, name: id, source, state: { state } }) as ModelCard;
const settings = { theme: 'dark', threads: 0 } as Settings; // only what these tests read

let core: CoreDouble;
let notices: ReturnType<typeof createNoticesStore>;
beforeEach(() => {
  core = new CoreDouble();
  notices = createNoticesStore(() => ({ advice: 'do this' }));
});

describe('settings', () => {
  it('show a change at once and take it back when it is refused', async () => {
    const store = createSettingsStore(core, notices);
    store.setState({ settings });
    core.answers['settings.set'] = () => {
      throw new MoebiusError('request.invalid', 'threads: at most 512');
    };
    const change = store.getState().change({ threads: 9000 });
    expect(store.getState().settings?.threads).toBe(9000);
    await change;
    expect(store.getState().settings?.threads).toBe(0);
    expect(notices.getState().toasts[0]).toMatchObject({ tone: 'bad', title: 'threads: at most 512', text: 'do this' });
  });

  it('set the theme of the document', () => {
    const store = createSettingsStore(core, notices);
    store.setState({ settings });
    core.send('settings.changed', { ...settings, theme: 'light' });
    expect(document.documentElement.dataset.theme).toBe('light');
    applyTheme('dark');
    expect(document.documentElement.dataset.theme).toBe('dark');
  });
});

describe('notices', () => {
  it('are not shown for cancellations', () => {
    notices.getState().error(new MoebiusError('cancelled', 'x'));
    expect(notices.getState().toasts).toEqual([]);
  });

  it('do not pile up for the same error', () => {
    for (let i = 0; i < 5; i += 1) notices.getState().error(new MoebiusError('hub.unreachable', 'no network'));
    expect(notices.getState().toasts).toHaveLength(1);
  });
});

describe('the engine', () => {
  it('is announced when it is back', () => {
    const store = createAppStore(core, notices);
    core.answers['devices.list'] = () => [];
    core.send('engine.changed', engine);
    core.send('engine.changed', { ...engine, state: 'restarting', error: { code: 'engine.died', message: 'SIGKILL' } });
    expect(store.getState().engine?.error?.message).toBe('SIGKILL');
    core.send('engine.changed', { ...engine, restarts: 1 });
    expect(notices.getState().toasts.map((toast) => toast.title)).toEqual(['The engine is running again.']);
  });
});

describe('the connection', () => {
  it('fetches everything at once and after every loss', async () => {
    const stores = createStores(core);
    core.connect(true);
    expect(core.count('models.list')).toBe(1);
    core.connect(false);
    expect(stores.app.getState().connection).toBe('lost');
    core.connect(true);
    expect(stores.app.getState().connection).toBe('connected');
    expect(core.count('models.list')).toBe(2);
  });
});

describe('the list of chats', () => {
  it('stays sorted by the last change', () => {
    const store = createChatsStore(core, notices);
    core.send('chats.changed', summary('a', 1));
    core.send('chats.changed', summary('b', 2));
    core.send('chats.changed', summary('a', 3));
    expect(store.getState().chats?.map((chat) => chat.id)).toEqual(['a', 'b']);
    core.send('chats.removed', { id: 'a' });
    expect(store.getState().chats?.map((chat) => chat.id)).toEqual(['b']);
  });

  it('shows the answer of the last search, even when an earlier one comes later', async () => {
    const store = createChatsStore(core, notices);
    const answer = new Map<string, (chats: ReturnType<typeof summary>[]) => void>();
    core.answers['chats.list'] = ({ query }) => new Promise((resolve) => answer.set(query ?? '', resolve));
    const searches = [store.getState().search('d'), store.getState().search('dw')];
    answer.get('dw')?.([summary('dwarf', 1)]);
    answer.get('d')?.([summary('dog', 1)]);
    await Promise.all(searches);
    expect(store.getState().found?.map((chat) => chat.id)).toEqual(['dwarf']);
  });
});

describe('chooseModel', () => {
  const embedded = card('tiny-moe', 'unloaded', 'embedded');
  it.each([
    ['the wanted one', [embedded, card('a', 'loaded')], 'tiny-moe', 'tiny-moe'],
    ['a loaded one when the wanted one is gone', [embedded, card('a', 'loaded')], 'gone', 'a'],
    ['the embedded one when none is loaded', [card('b', 'unloaded'), embedded], null, 'tiny-moe'],
    ['none when there is none', [], null, undefined],
  ])('gives %s', (_name, models, wanted, chosen) => {
    expect(chooseModel(models, wanted)?.id).toBe(chosen);
  });
});

describe('errorHelp', () => {
  it('offers to unload a model when another does not fit', () => {
    const stores = createStores(core);
    stores.models.setState({ models: [card('big', 'loaded'), card('small', 'unloaded')] });
    const help = errorHelp({ code: 'model.does-not-fit', message: '' }, stores);
    expect(help.actions?.map((action) => action.label)).toEqual(['Unload big', 'Load options']);
  });

  it('offers to restart an engine that gave up', () => {
    const help = errorHelp({ code: 'engine.crash-loop', message: '' }, createStores(core));
    expect(help.actions?.map((action) => action.label)).toEqual(['Restart engine']);
  });
});

describe('commands', () => {
  const press = (key: string, more: KeyboardEventInit = {}) => new KeyboardEvent('keydown', { key, ctrlKey: true, ...more });
  const command = (id: string, keys: string) => ({ id, title: id, group: 'Test', keys, run: () => undefined });

  it('come and go with what registers them', () => {
    const store = createCommandsStore();
    const leave = store.getState().register([command('a', 'mod+a')]);
    store.getState().register([command('b', 'mod+b')]);
    leave();
    expect(store.getState().commands.map(({ id }) => id)).toEqual(['b']);
  });

  it('are found by exactly their keys', () => {
    const commands = [command('palette', 'mod+k'), command('new', 'mod+shift+o'), command('settings', 'mod+,')];
    expect(commandForKeys(commands, press('k'))?.id).toBe('palette');
    expect(commandForKeys(commands, press('K', { shiftKey: true }))).toBeUndefined();
    expect(commandForKeys(commands, press('O', { shiftKey: true }))?.id).toBe('new');
    expect(commandForKeys(commands, press(','))?.id).toBe('settings');
    expect(commandForKeys(commands, press('k', { ctrlKey: false }))).toBeUndefined();
  });
});

describe('the tree of messages', () => {
  const messages = new Map(
    [
      message('m1', null, 'user'),
      message('m2', 'm1', 'assistant'),
      message('m3', 'm1', 'assistant'),
      message('m4', 'm3', 'user'),
      message('m5', null, 'user'),
    ].map((one) => [one.id, one]),
  );

  it('has a path from the root to every message', () => {
    expect(pathTo(messages, 'm4')).toEqual(['m1', 'm3', 'm4']);
    expect(pathTo(messages, null)).toEqual([]);
    expect(pathTo(messages, 'gone')).toEqual([]);
  });

  it('ends a path that would go in circles', () => {
    const circle = new Map([message('m1', 'm2', 'user'), message('m2', 'm1', 'assistant')].map((one) => [one.id, one]));
    expect(pathTo(circle, 'm1')).toHaveLength(2);
  });

  it('knows siblings, roots included', () => {
    const siblings = siblingsOfAll(messages);
    expect(siblings.get('m3')).toEqual(['m2', 'm3']);
    expect(siblings.get('m5')).toEqual(['m1', 'm5']);
  });

  it('counts what hangs below a message', () => {
    expect(countBelow(messages, 'm1')).toBe(3);
    expect(countBelow(messages, 'm2')).toBe(0);
  });
});

describe('a file that is opened with the app', () => {
  it('is added and loaded', async () => {
    const stores = createStores(core);
    core.answers['models.add'] = () => card('opened', 'unloaded');
    core.answers['models.load'] = () => card('opened', 'loaded');
    core.send('app.openFile', { path: '/models/opened.gguf' });
    await expect.poll(() => stores.models.getState().models?.[0]?.state.state).toBe('loaded');
    expect(core.calls.map(({ method, parameters }) => [method, parameters])).toEqual([
      ['models.add', { path: '/models/opened.gguf' }],
      ['models.load', { id: 'opened' }],
    ]);
  });
});
