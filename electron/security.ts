// What web contents may do: nothing but show the app's own pages. Everything of Electron's security checklist that is a rule at run time.
import type { App, Session, WebContents, WebFrameMain } from 'electron';

export const APP_SCHEME = 'moebius';
export const APP_HOST = 'app';
/** origin of the app's own pages */
export const APP_ORIGIN = `${APP_SCHEME}://${APP_HOST}`;

/** Permissions that the app's own pages use: writing (not reading) the clipboard. */
const grantedPermissions = new Set(['clipboard-sanitized-write']);

/** True for addresses of the app's own pages. `URL.origin` is `null` for schemes that it does not know, so it is put together here. */
export function isAppUrl(address: string): boolean {
  const url = parseUrl(address);
  return url !== null && url.protocol === `${APP_SCHEME}:` && url.host === APP_HOST && url.username === '' && url.password === '';
}

/** Links that may go to the system's browser, once the user agrees: https, without credentials in the address. */
export function isOpenable(address: string): boolean {
  const url = parseUrl(address);
  return url !== null && url.protocol === 'https:' && url.username === '' && url.password === '' && url.hostname !== '';
}

function parseUrl(address: string): URL | null {
  return URL.canParse(address) ? new URL(address) : null;
}

/** Who sent an IPC message. */
export interface Sender {
  senderFrame: Pick<WebFrameMain, 'url' | 'parent'> | null;
}

/** True for messages of the top frame of one of the app's own pages; a frame that has navigated or gone is null or shows another address. */
export function isTrustedSender({ senderFrame }: Sender): boolean {
  return senderFrame !== null && senderFrame.parent === null && isAppUrl(senderFrame.url);
}

/** Every web contents, also ones that nobody meant to create: no navigation away, no new windows, no embedded pages. */
export function limitContents(contents: WebContents, offerExternal: (url: string) => void): void {
  const leave = (event: { preventDefault(): void }, url: string) => {
    if (isAppUrl(url)) return;
    event.preventDefault();
    if (isOpenable(url)) offerExternal(url);
  };
  contents.on('will-navigate', (event) => leave(event, event.url));
  contents.on('will-redirect', (event) => leave(event, event.url));
  contents.on('will-frame-navigate', (event) => {
    if (!isAppUrl(event.url)) event.preventDefault();
  });
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(({ url }) => {
    if (isOpenable(url)) offerExternal(url);
    return { action: 'deny' };
  });
}

export function limitAllContents(app: Pick<App, 'on'>, offerExternal: (url: string) => void): void {
  app.on('web-contents-created', (_event, contents) => limitContents(contents, offerExternal));
}

/** Camera, location, notifications, devices and all other permissions are refused, also to our own pages. */
export function limitPermissions(session: Pick<Session, 'setPermissionRequestHandler' | 'setPermissionCheckHandler' | 'setDevicePermissionHandler'>): void {
  session.setPermissionRequestHandler((contents, permission, decide) => decide(grantedPermissions.has(permission) && isAppUrl(contents.getURL())));
  session.setPermissionCheckHandler((_contents, permission, origin) => grantedPermissions.has(permission) && isAppUrl(origin));
  session.setDevicePermissionHandler(() => false);
}
