import type { Session, WebContents } from 'electron';
import { describe, expect, it, vi } from 'vitest';
import { isAppUrl, isOpenable, isTrustedSender, limitContents, limitPermissions } from '../../../electron/security.ts';
import { FakeContents, frame } from './electron-double.ts';

const foreignUrls = [
  'https://example.com/',
  'http://app/',
  'file:///etc/passwd',
  'moebius://other/',
  'moebius://app.example.com/',
  'moebius://user@app/',
  'moebius:app/',
  'javascript:alert(1)',
  'data:text/html,x',
  'about:blank',
  '',
  'not a url',
];

describe('isAppUrl', () => {
  it.each(['moebius://app/', 'moebius://app/index.html#/chat', 'moebius://app/assets/a.js'])('%s is our own page', (url) => expect(isAppUrl(url)).toBe(true));
  it.each(foreignUrls)('"%s" is not', (url) => expect(isAppUrl(url)).toBe(false));
});

describe('isOpenable', () => {
  it.each(['https://example.com/a?b=c', 'https://example.com:8443/'])('%s may be offered to the browser', (url) => expect(isOpenable(url)).toBe(true));
  it.each([
    'http://example.com/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'ms-settings:',
    'smb://host/x',
    'https://user:secret@example.com/',
    'data:text/html,x',
    '',
  ])('"%s" may not', (url) => expect(isOpenable(url)).toBe(false));
});

describe('isTrustedSender', () => {
  it('takes messages of the top frame of our own page', () => expect(isTrustedSender({ senderFrame: frame('moebius://app/') })).toBe(true));
  it('refuses a frame inside our page', () => expect(isTrustedSender({ senderFrame: frame('moebius://app/', {}) })).toBe(false));
  it('refuses a frame that is gone', () => expect(isTrustedSender({ senderFrame: null })).toBe(false));
  it.each(foreignUrls)('refuses a page at "%s"', (url) => expect(isTrustedSender({ senderFrame: frame(url) })).toBe(false));
});

describe('limitContents', () => {
  function setUp() {
    const contents = new FakeContents();
    const offered: string[] = [];
    // the double has what limitContents uses
    limitContents(contents as unknown as WebContents, (url) => offered.push(url));
    return { contents, offered };
  }

  it.each(['will-navigate', 'will-redirect', 'will-frame-navigate'])('%s to another place is stopped', (name) => {
    const { contents } = setUp();
    const event = { url: 'https://example.com/', preventDefault: vi.fn() };
    contents.emit(name, event);
    expect(event.preventDefault).toHaveBeenCalledOnce();
  });

  it.each(['will-navigate', 'will-redirect', 'will-frame-navigate'])('%s within the app goes on', (name) => {
    const { contents, offered } = setUp();
    const event = { url: 'moebius://app/#/models', preventDefault: vi.fn() };
    contents.emit(name, event);
    expect(event.preventDefault).not.toHaveBeenCalled();
    expect(offered).toEqual([]);
  });

  it('offers an https link to the browser and opens no window', () => {
    const { contents, offered } = setUp();
    expect(contents.openHandler({ url: 'https://example.com/' })).toEqual({ action: 'deny' });
    expect(offered).toEqual(['https://example.com/']);
  });

  it.each(['http://example.com/', 'file:///etc/passwd', 'javascript:alert(1)', 'moebius://app/'])('opens no window for %s and offers nothing', (url) => {
    const { contents, offered } = setUp();
    expect(contents.openHandler({ url })).toEqual({ action: 'deny' });
    expect(offered).toEqual([]);
  });

  it('attaches no webview', () => {
    const { contents } = setUp();
    const event = { preventDefault: vi.fn() };
    contents.emit('will-attach-webview', event);
    expect(event.preventDefault).toHaveBeenCalledOnce();
  });
});

describe('limitPermissions', () => {
  type RequestHandler = (contents: { getURL(): string }, permission: string, decide: (granted: boolean) => void) => void;
  type CheckHandler = (contents: null, permission: string, origin: string) => boolean;
  let request: RequestHandler = () => {};
  let check: CheckHandler = () => true;
  let device: () => boolean = () => true;
  const session = {
    setPermissionRequestHandler: (handler: RequestHandler) => (request = handler),
    setPermissionCheckHandler: (handler: CheckHandler) => (check = handler),
    setDevicePermissionHandler: (handler: () => boolean) => (device = handler),
  };
  limitPermissions(session as unknown as Session); // the double has what limitPermissions uses
  const ask = (permission: string, url: string) => {
    let answer: boolean | undefined;
    request({ getURL: () => url }, permission, (granted) => (answer = granted));
    return answer;
  };

  it.each(['media', 'geolocation', 'notifications', 'midi', 'clipboard-read', 'fullscreen', 'openExternal', 'hid', 'serial', 'usb'])(
    '%s is refused',
    (permission) => {
      expect(ask(permission, 'moebius://app/')).toBe(false);
      expect(check(null, permission, 'moebius://app/')).toBe(false);
    },
  );
  it('our own page may write the clipboard', () => {
    expect(ask('clipboard-sanitized-write', 'moebius://app/')).toBe(true);
    expect(check(null, 'clipboard-sanitized-write', 'moebius://app/')).toBe(true);
  });
  it('another page may not', () => {
    expect(ask('clipboard-sanitized-write', 'https://example.com/')).toBe(false);
    expect(check(null, 'clipboard-sanitized-write', 'https://example.com')).toBe(false);
  });
  it('devices are refused', () => expect(device()).toBe(false));
});
