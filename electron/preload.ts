// The only bridge between a page and the main process: a port for the typed contract, and what only the system can do (dialogs, paths of dropped files).
// Runs sandboxed and isolated; no Electron object reaches the page.
import { contextBridge, ipcRenderer, webUtils } from 'electron';
import { CHOOSE_FILE, CHOOSE_FOLDER, CONNECT, PORT, PORT_MESSAGE } from './channels.ts';

ipcRenderer.on(PORT, (event) => window.postMessage(PORT_MESSAGE, window.location.origin, event.ports));

contextBridge.exposeInMainWorld('moebius', {
  connect: (): void => ipcRenderer.send(CONNECT),
  chooseFolder: (): Promise<string | null> => ipcRenderer.invoke(CHOOSE_FOLDER),
  chooseFile: (): Promise<string | null> => ipcRenderer.invoke(CHOOSE_FILE),
  pathOfFile: (file: File): string => webUtils.getPathForFile(file),
});
