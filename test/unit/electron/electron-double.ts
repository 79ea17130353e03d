// A stand-in for the `electron` module: event emitters that record what they are told.
import { EventEmitter } from 'node:events';
import { vi } from 'vitest';
import type { Sender } from '../../../electron/security.ts';

export class FakeContents extends EventEmitter {
  openHandler: (details: { url: string }) => { action: string } = () => ({ action: 'allow' });
  url = 'moebius://app/';
  readonly postMessage = vi.fn();
  readonly reload = vi.fn();
  getURL = () => this.url;
  setWindowOpenHandler(handler: FakeContents['openHandler']): void {
    this.openHandler = handler;
  }
}

export class FakeWindow extends EventEmitter {
  static all: FakeWindow[] = [];
  static getAllWindows = () => FakeWindow.all;
  static fromWebContents = () => FakeWindow.all[0] ?? null;
  readonly webContents = new FakeContents();
  readonly loadURL = vi.fn(async () => {});
  readonly show = vi.fn();
  readonly focus = vi.fn();
  readonly restore = vi.fn();
  readonly maximize = vi.fn();
  minimized = false;
  options: Record<string, unknown>;

  constructor(options: Record<string, unknown>) {
    super();
    this.options = options;
    FakeWindow.all.push(this);
  }

  isMinimized = () => this.minimized;
  isMaximized = () => false;
  getNormalBounds = () => ({ x: 10, y: 20, width: 900, height: 700 });
}

/** One end of a MessageChannelMain; what is posted on one arrives at the other. */
export class FakePort extends EventEmitter {
  other: FakePort | undefined;
  readonly start = vi.fn();
  readonly close = vi.fn();
  postMessage(data: unknown): void {
    queueMicrotask(() => this.other?.emit('message', { data }));
  }
}

export class FakeChannel {
  readonly port1 = new FakePort();
  readonly port2 = new FakePort();
  constructor() {
    this.port1.other = this.port2;
    this.port2.other = this.port1;
  }
}

class FakeApp extends EventEmitter {
  isPackaged = true;
  hasLock = true;
  ready = Promise.withResolvers<void>();
  readonly quit = vi.fn();
  readonly exit = vi.fn();
  readonly enableSandbox = vi.fn();
  requestSingleInstanceLock = () => this.hasLock;
  whenReady = () => this.ready.promise;
}

class FakeIpcMain extends EventEmitter {
  readonly handlers = new Map<string, (event: unknown) => Promise<unknown>>();
  handle(channel: string, handler: (event: unknown) => Promise<unknown>): void {
    this.handlers.set(channel, handler);
  }
  removeHandler(channel: string): void {
    this.handlers.delete(channel);
  }
}

export function createElectronDouble() {
  FakeWindow.all = [];
  return {
    app: new FakeApp(),
    ipcMain: new FakeIpcMain(),
    BrowserWindow: FakeWindow,
    MessageChannelMain: FakeChannel,
    Menu: { setApplicationMenu: vi.fn(), buildFromTemplate: vi.fn((template: unknown) => template) },
    dialog: { showOpenDialog: vi.fn(), showMessageBox: vi.fn(), showErrorBox: vi.fn() },
    protocol: { handle: vi.fn(), registerSchemesAsPrivileged: vi.fn() },
    screen: { getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1920, height: 1040 } }] },
    session: { defaultSession: { setPermissionRequestHandler: vi.fn(), setPermissionCheckHandler: vi.fn(), setDevicePermissionHandler: vi.fn() } },
    shell: { openExternal: vi.fn(async () => {}) },
  };
}

export type ElectronDouble = ReturnType<typeof createElectronDouble>;

/** A frame that sends IPC messages. */
export const frame = (url: string, parent: object | null = null) => ({ url, parent }) as NonNullable<Sender['senderFrame']>; // whether there is a parent counts, not what it is
