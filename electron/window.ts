// The one window: sandboxed and isolated, its place kept.
import { BrowserWindow, screen } from 'electron';
import { APP_ORIGIN } from './security.ts';
import { loadWindowState, placeWindow, saveWindowState, smallestSize } from './window-state.ts';

export interface WindowOptions {
  preload: string;
  /** where the window's place is kept */
  stateFile: string;
  /** developer tools may be opened */
  developer: boolean;
}

/** A page that keeps crashing is not reloaded for ever. */
const MOST_RELOADS = 3;

export function createWindow({ preload, stateFile, developer }: WindowOptions): BrowserWindow {
  const state = loadWindowState(stateFile);
  const areas = screen.getAllDisplays().map((display) => display.workArea);
  const window = new BrowserWindow({
    ...placeWindow(state, areas),
    minWidth: smallestSize.width,
    minHeight: smallestSize.height,
    title: 'Moebius',
    show: false,
    backgroundColor: '#101216',
    webPreferences: {
      preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      devTools: developer,
    },
  });
  if (state?.maximized) window.maximize();
  window.once('ready-to-show', () => window.show());
  window.on('close', () => saveWindowState(stateFile, { ...window.getNormalBounds(), maximized: window.isMaximized() }));
  reloadAfterCrash(window);
  void window.loadURL(`${APP_ORIGIN}/`);
  return window;
}

function reloadAfterCrash(window: BrowserWindow): void {
  let reloads = 0;
  window.webContents.on('render-process-gone', (_event, { reason }) => {
    if (reason !== 'clean-exit' && ++reloads <= MOST_RELOADS) window.webContents.reload();
  });
}
