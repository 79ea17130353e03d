// The life of the app: start, windows, files to open, quitting.
import { join } from 'node:path';
import { app, BrowserWindow, dialog, Menu, protocol, session, shell } from 'electron';
import { Bridge, modelFileFilter } from './bridge.ts';
import { menuTemplate } from './menu.ts';
import { filesOfArguments, OpenFiles } from './open-files.ts';
import { createHandler } from './protocol.ts';
import { APP_SCHEME, isOpenable, limitAllContents, limitPermissions } from './security.ts';
import { createWindow } from './window.ts';

type BridgeParameters = ConstructorParameters<typeof Bridge>;

/** What the shell needs of the application core (main/core.ts). */
export type ShellCore = BridgeParameters[0] & { start(): Promise<void>; dispose(): Promise<void> };

export interface ShellOptions {
  createCore(): Promise<ShellCore>;
  logger: BridgeParameters[1];
  /** folder of the built UI */
  rendererRoot: string;
  preload: string;
  /** the app's own folder for window state; not the core's data */
  stateFolder: string;
  /** arguments after the program (and, in a checkout, after the app's folder) */
  parameters: string[];
}

/** Quitting does not wait longer than this for the core. */
const DISPOSE_MILLISECONDS = 10_000;

export class Shell {
  readonly #options: ShellOptions;
  readonly #files = new OpenFiles();
  #core: ShellCore | null = null;
  #bridge: Bridge | null = null;
  #state: 'running' | 'ending' | 'ended' = 'running';

  constructor(options: ShellOptions) {
    this.#options = options;
  }

  /** Call once, before the app is ready. A second start hands its files to the first one and ends. */
  run(): void {
    if (!app.requestSingleInstanceLock()) {
      app.quit();
      return;
    }
    app.enableSandbox();
    limitAllContents(app, (url) => void this.#offerExternal(url));
    this.#openFiles(this.#options.parameters, process.cwd());
    app.on('open-file', (event, path) => {
      event.preventDefault();
      this.#files.open(path);
    });
    app.on('second-instance', (_event, parameters, folder) => {
      this.#openFiles(parameters.slice(1), folder);
      this.#showWindow();
    });
    app.on('activate', () => this.#showWindow());
    app.on('window-all-closed', () => {
      this.#files.disconnect();
      if (process.platform !== 'darwin') app.quit();
    });
    app.on('before-quit', (event) => this.#beforeQuit(event));
    app
      .whenReady()
      .then(() => this.#start())
      .catch((error: unknown) => this.#fail(error));
  }

  async #start(): Promise<void> {
    limitPermissions(session.defaultSession);
    protocol.handle(APP_SCHEME, createHandler(this.#options.rendererRoot));
    Menu.setApplicationMenu(
      Menu.buildFromTemplate(menuTemplate({ platform: process.platform, developer: !app.isPackaged, openModel: () => void this.#chooseModel() })),
    );
    const core = await this.#options.createCore();
    this.#core = core;
    this.#bridge = new Bridge(core, this.#options.logger, () => this.#files.connect((path) => core.hub.publish('app.openFile', { path })));
    await core.start();
    this.#showWindow();
  }

  #showWindow(): void {
    if (this.#core === null || this.#state !== 'running') return; // the first window comes when the core is there
    const window = BrowserWindow.getAllWindows()[0];
    if (!window) {
      createWindow({ preload: this.#options.preload, stateFile: join(this.#options.stateFolder, 'window.json'), developer: !app.isPackaged });
      return;
    }
    if (window.isMinimized()) window.restore();
    window.focus();
  }

  #openFiles(parameters: string[], folder: string): void {
    for (const path of filesOfArguments(parameters, folder)) this.#files.open(path);
  }

  async #chooseModel(): Promise<void> {
    const { canceled, filePaths } = await dialog.showOpenDialog({ properties: ['openFile'], filters: modelFileFilter });
    if (!canceled) for (const path of filePaths) this.#files.open(path);
    this.#showWindow();
  }

  /** Model output may hold links: the whole address is shown before anything is opened. */
  async #offerExternal(url: string): Promise<void> {
    const { response } = await dialog.showMessageBox({
      type: 'question',
      message: 'Open this address in your browser?',
      detail: url,
      buttons: ['Cancel', 'Open'],
      defaultId: 0,
      cancelId: 0,
      noLink: true,
    });
    if (response === 1 && isOpenable(url)) await shell.openExternal(url);
  }

  #beforeQuit(event: { preventDefault(): void }): void {
    if (this.#state === 'ended' || this.#core === null) return;
    event.preventDefault();
    if (this.#state === 'ending') return;
    this.#state = 'ending';
    this.#bridge?.dispose();
    const limit = new Promise<void>((resolve) => setTimeout(resolve, DISPOSE_MILLISECONDS));
    Promise.race([this.#core.dispose(), limit])
      .catch((error: unknown) => this.#options.logger.error(`the core did not end cleanly: ${String(error)}`))
      .finally(() => {
        this.#state = 'ended';
        app.quit();
      });
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#options.logger.error(`could not start: ${message}`);
    dialog.showErrorBox('Moebius could not start', message);
    app.exit(1);
  }
}
