import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Shell, ShellCore } from '../../../electron/shell.ts';
import type { Handlers } from '../../../main/contract/index.ts';
import { Dispatcher } from '../../../main/rpc/dispatcher.ts';
import { EventHub } from '../../../main/rpc/event-hub.ts';
import { createElectronDouble, type ElectronDouble, type FakePort, FakeWindow, frame } from './electron-double.ts';

let electron: ElectronDouble;
let folder = '';
const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };

function createCore() {
  const hub = new EventHub();
  const handlers = { 'devices.list': () => [] } as unknown as Handlers; // only this one is called
  const core = { hub, dispatcher: new Dispatcher(handlers), start: vi.fn(async () => {}), dispose: vi.fn(async () => {}) };
  return core satisfies ShellCore;
}

async function startShell(core: ShellCore = createCore(), parameters: string[] = []): Promise<{ shell: Shell }> {
  const { Shell } = await import('../../../electron/shell.ts');
  const shell = new Shell({ createCore: async () => core, logger, rendererRoot: folder, preload: '/app/preload.cjs', stateFolder: folder, parameters });
  shell.run();
  electron.app.ready.resolve();
  await vi.waitFor(() => expect(electron.protocol.handle.mock.calls.length + electron.app.quit.mock.calls.length).toBeGreaterThan(0));
  await new Promise((resolve) => setTimeout(resolve, 0));
  return { shell };
}

/** The page asks for its port; gives the page's end. */
function connectPage(window: FakeWindow, url = 'moebius://app/'): FakePort | undefined {
  electron.ipcMain.emit('moebius:connect', { sender: window.webContents, senderFrame: frame(url) });
  return window.webContents.postMessage.mock.lastCall?.[2]?.[0];
}

const firstWindow = (): FakeWindow => {
  const window = FakeWindow.all[0];
  if (!window) throw new Error('no window was created');
  return window;
};

beforeEach(() => {
  vi.resetModules();
  electron = createElectronDouble();
  vi.doMock('electron', () => electron);
  folder = mkdtempSync(join(tmpdir(), 'moebius-shell-'));
  vi.clearAllMocks();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the window', () => {
  it('is sandboxed and isolated and shows our own page', async () => {
    await startShell();
    const preferences = firstWindow().options.webPreferences;
    expect(preferences).toMatchObject({ sandbox: true, contextIsolation: true, nodeIntegration: false, webSecurity: true, webviewTag: false, devTools: false });
    expect(preferences).not.toHaveProperty('enableBlinkFeatures');
    expect(preferences).not.toHaveProperty('experimentalFeatures');
    expect(firstWindow().loadURL).toHaveBeenCalledWith('moebius://app/');
    expect(electron.app.enableSandbox).toHaveBeenCalledOnce();
  });

  it('keeps its place', async () => {
    await startShell();
    firstWindow().emit('close');
    expect(JSON.parse(readFileSync(join(folder, 'window.json'), 'utf8'))).toEqual({ x: 10, y: 20, width: 900, height: 700, maximized: false });
  });

  it('reloads a page that crashed, but not for ever', async () => {
    await startShell();
    for (let crash = 0; crash < 5; crash++) firstWindow().webContents.emit('render-process-gone', {}, { reason: 'crashed' });
    expect(firstWindow().webContents.reload).toHaveBeenCalledTimes(3);
  });

  it('comes back to front at a second start, with the files of its arguments', async () => {
    const core = createCore();
    await startShell(core);
    const published = vi.fn();
    core.hub.subscribe(published);
    connectPage(firstWindow());
    firstWindow().minimized = true;
    electron.app.emit('second-instance', {}, ['moebius', '--x', 'b.gguf'], '/models');
    expect(FakeWindow.all).toHaveLength(1);
    expect(firstWindow().restore).toHaveBeenCalledOnce();
    expect(firstWindow().focus).toHaveBeenCalledOnce();
    expect(published).toHaveBeenCalledWith('app.openFile', { path: join('/models', 'b.gguf') });
  });
});

describe('a second start', () => {
  it('ends at once, without a core', async () => {
    electron.app.hasLock = false;
    const core = createCore();
    await startShell(core);
    expect(electron.app.quit).toHaveBeenCalledOnce();
    expect(core.start).not.toHaveBeenCalled();
    expect(FakeWindow.all).toEqual([]);
  });
});

describe('files to open', () => {
  it('of the arguments wait for the page', async () => {
    const core = createCore();
    const published = vi.fn();
    core.hub.subscribe(published);
    await startShell(core, ['/models/a.gguf']);
    expect(published).not.toHaveBeenCalled();
    connectPage(firstWindow());
    expect(published).toHaveBeenCalledWith('app.openFile', { path: '/models/a.gguf' });
  });

  it('come from the system too', async () => {
    const core = createCore();
    const published = vi.fn();
    core.hub.subscribe(published);
    await startShell(core);
    connectPage(firstWindow());
    const event = { preventDefault: vi.fn() };
    electron.app.emit('open-file', event, '/models/c.gguf');
    expect(event.preventDefault).toHaveBeenCalledOnce();
    expect(published).toHaveBeenCalledWith('app.openFile', { path: '/models/c.gguf' });
  });
});

describe('the bridge', () => {
  it('gives the page a port that answers its calls', async () => {
    await startShell();
    const port = connectPage(firstWindow());
    const answer = new Promise((resolve) => port?.once('message', ({ data }) => resolve(data)));
    port?.postMessage({ id: 1, method: 'devices.list', parameters: {} });
    expect(await answer).toEqual({ id: 1, result: [] });
  });

  it('closes the first port when the page asks for another', async () => {
    await startShell();
    const first = connectPage(firstWindow());
    const second = connectPage(firstWindow());
    expect(first?.other?.close).toHaveBeenCalledOnce();
    expect(second?.other?.close).not.toHaveBeenCalled();
    firstWindow().webContents.emit('destroyed');
    expect(second?.other?.close).toHaveBeenCalledOnce();
  });

  it.each(['https://example.com/', 'moebius://other/', 'file:///x.html'])('gives %s no port', async (url) => {
    await startShell();
    expect(connectPage(firstWindow(), url)).toBeUndefined();
    expect(logger.error).toHaveBeenCalledOnce();
  });

  it.each(['moebius:choose-folder', 'moebius:choose-file'])('%s gives the chosen path to our page and nothing to another', async (channel) => {
    await startShell();
    electron.dialog.showOpenDialog.mockResolvedValue({ canceled: false, filePaths: ['/models'] });
    const handler = electron.ipcMain.handlers.get(channel);
    expect(await handler?.({ sender: firstWindow().webContents, senderFrame: frame('moebius://app/') })).toBe('/models');
    expect(await handler?.({ sender: firstWindow().webContents, senderFrame: frame('https://example.com/') })).toBeNull();
    expect(await handler?.({ sender: firstWindow().webContents, senderFrame: null })).toBeNull();
    expect(electron.dialog.showOpenDialog).toHaveBeenCalledOnce();
  });
});

describe('links', () => {
  async function follow(url: string, response: number) {
    await startShell();
    electron.dialog.showMessageBox.mockResolvedValue({ response });
    electron.app.emit('web-contents-created', {}, firstWindow().webContents);
    firstWindow().webContents.openHandler({ url });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  it('go to the browser when the user agrees to the whole address', async () => {
    await follow('https://example.com/a?b', 1);
    expect(electron.dialog.showMessageBox).toHaveBeenCalledWith(expect.objectContaining({ detail: 'https://example.com/a?b', defaultId: 0, cancelId: 0 }));
    expect(electron.shell.openExternal).toHaveBeenCalledWith('https://example.com/a?b');
  });
  it('go nowhere when the user does not', async () => {
    await follow('https://example.com/', 0);
    expect(electron.shell.openExternal).not.toHaveBeenCalled();
  });
  it('of other schemes are not even offered', async () => {
    await follow('file:///etc/passwd', 1);
    expect(electron.dialog.showMessageBox).not.toHaveBeenCalled();
    expect(electron.shell.openExternal).not.toHaveBeenCalled();
  });
});

describe('quitting', () => {
  it('ends the core first, once', async () => {
    const core = createCore();
    await startShell(core);
    const event = { preventDefault: vi.fn() };
    electron.app.emit('before-quit', event);
    electron.app.emit('before-quit', event);
    expect(event.preventDefault).toHaveBeenCalledTimes(2);
    await vi.waitFor(() => expect(electron.app.quit).toHaveBeenCalledOnce());
    expect(core.dispose).toHaveBeenCalledOnce();
    const last = { preventDefault: vi.fn() };
    electron.app.emit('before-quit', last);
    expect(last.preventDefault).not.toHaveBeenCalled();
  });

  it('goes on when the core fails to end', async () => {
    const core = createCore();
    core.dispose.mockRejectedValue(new Error('disk full'));
    await startShell(core);
    electron.app.emit('before-quit', { preventDefault: vi.fn() });
    await vi.waitFor(() => expect(electron.app.quit).toHaveBeenCalledOnce());
    expect(logger.error).toHaveBeenCalledOnce();
  });
});

describe('a start that fails', () => {
  it('says why and ends with an error', async () => {
    const core = createCore();
    core.start.mockRejectedValue(new Error('The data folder is in use by another Moebius.'));
    await startShell(core);
    await vi.waitFor(() => expect(electron.app.exit).toHaveBeenCalledWith(1));
    expect(electron.dialog.showErrorBox).toHaveBeenCalledWith('Moebius could not start', 'The data folder is in use by another Moebius.');
  });
});
