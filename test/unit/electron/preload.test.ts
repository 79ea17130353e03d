// @vitest-environment happy-dom
import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { CHOOSE_FILE, CHOOSE_FOLDER, CONNECT, PORT, PORT_MESSAGE } from '../../../electron/channels.ts';
import { PORT_MESSAGE as EXPECTED_BY_THE_PAGE } from '../../../renderer/core/message-port.ts';

const exposed: Record<string, Record<string, (...parameters: unknown[]) => unknown>> = {};
const ipcRenderer = Object.assign(new EventEmitter(), { send: vi.fn(), invoke: vi.fn(async () => '/models') });
vi.mock('electron', () => ({
  contextBridge: { exposeInMainWorld: (name: string, api: (typeof exposed)[string]) => (exposed[name] = api) },
  ipcRenderer,
  webUtils: { getPathForFile: () => '/models/a.gguf' },
}));

describe('the preload script', () => {
  beforeEach(async () => void (await import('../../../electron/preload.ts')));

  it('exposes these functions and nothing else', () => {
    expect(Object.keys(exposed)).toEqual(['moebius']);
    expect(Object.keys(exposed.moebius ?? {})).toEqual(['connect', 'chooseFolder', 'chooseFile', 'pathOfFile']);
  });

  it('passes fixed channels only, and nothing of what the page gives', async () => {
    exposed.moebius?.connect?.('other-channel', { evil: true });
    await exposed.moebius?.chooseFolder?.('other-channel');
    await exposed.moebius?.chooseFile?.('other-channel');
    expect(ipcRenderer.send.mock.calls).toEqual([[CONNECT]]);
    expect(ipcRenderer.invoke.mock.calls).toEqual([[CHOOSE_FOLDER], [CHOOSE_FILE]]);
  });

  it('hands the port to its own origin, under the name that the page waits for', () => {
    const post = vi.spyOn(window, 'postMessage').mockImplementation(() => {});
    const ports = [new MessageChannel().port1];
    ipcRenderer.emit(PORT, { ports });
    expect(post).toHaveBeenCalledWith(EXPECTED_BY_THE_PAGE, window.location.origin, ports);
    expect(PORT_MESSAGE).toBe(EXPECTED_BY_THE_PAGE);
  });
});
