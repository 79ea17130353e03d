// The main process's side of preload.ts: hands every page its own port to the core, and answers its dialogs. Every sender is checked.
import { BrowserWindow, dialog, ipcMain, MessageChannelMain, type OpenDialogOptions, type WebContents } from 'electron';
import { servePort } from '../main/rpc/message-port.ts';
import { CHOOSE_FILE, CHOOSE_FOLDER, CONNECT, PORT } from './channels.ts';
import { isTrustedSender } from './security.ts';

type Core = { dispatcher: Parameters<typeof servePort>[1]; hub: Parameters<typeof servePort>[2] };
type Logger = Parameters<typeof servePort>[3];

export const modelFileFilter = [{ name: 'GGUF models', extensions: ['gguf'] }];

export class Bridge {
  readonly #core: Core;
  readonly #logger: Logger;
  readonly #onConnected: () => void;
  /** closes the port that a page holds */
  readonly #ports = new Map<WebContents, () => void>();

  constructor(core: Core, logger: Logger, onConnected: () => void) {
    this.#core = core;
    this.#logger = logger;
    this.#onConnected = onConnected;
    ipcMain.on(CONNECT, (event) => (isTrustedSender(event) ? this.#connect(event.sender) : this.#refuse(CONNECT, event.senderFrame?.url)));
    this.#answer(CHOOSE_FOLDER, { properties: ['openDirectory', 'createDirectory'] });
    this.#answer(CHOOSE_FILE, { properties: ['openFile'], filters: modelFileFilter });
  }

  dispose(): void {
    ipcMain.removeAllListeners(CONNECT);
    ipcMain.removeHandler(CHOOSE_FOLDER);
    ipcMain.removeHandler(CHOOSE_FILE);
    for (const close of this.#ports.values()) close();
    this.#ports.clear();
  }

  #connect(contents: WebContents): void {
    const known = this.#ports.get(contents);
    known?.();
    const { port1, port2 } = new MessageChannelMain();
    this.#ports.set(contents, servePort(port1, this.#core.dispatcher, this.#core.hub, this.#logger));
    if (!known) contents.once('destroyed', () => this.#forget(contents));
    contents.postMessage(PORT, null, [port2]);
    this.#onConnected();
  }

  #forget(contents: WebContents): void {
    this.#ports.get(contents)?.();
    this.#ports.delete(contents);
  }

  #answer(channel: string, options: OpenDialogOptions): void {
    ipcMain.handle(channel, async (event): Promise<string | null> => {
      if (!isTrustedSender(event)) return this.#refuse(channel, event.senderFrame?.url);
      const window = BrowserWindow.fromWebContents(event.sender);
      const { canceled, filePaths } = await (window ? dialog.showOpenDialog(window, options) : dialog.showOpenDialog(options));
      return canceled ? null : (filePaths[0] ?? null);
    });
  }

  #refuse(channel: string, url: string | undefined): null {
    this.#logger.error(`refused ${channel} from ${url ?? 'a frame that is gone'}`);
    return null;
  }
}
