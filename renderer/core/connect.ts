import type { CoreClient } from '../../main/contract/index.ts';
import { connectMessagePort } from './message-port.ts';
import { connectWebSocket } from './websocket.ts';

const TOKEN_KEY = 'moebius.token';

/**
 * The core of this window: over the preload's MessagePort inside Electron, else over a WebSocket to where the page came from.
 * `onRefused` is called when the core doesn't accept the token of the address.
 */
export function connectCore(onRefused: () => void): CoreClient {
  if (window.moebius) return connectMessagePort(window.moebius);
  const url = new URL('rpc', new URL('.', window.location.href));
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = '';
  url.search = '';
  return connectWebSocket({ url: url.href, token: takeToken(), onRefused });
}

/** The token of `#token=...`, kept for reloads of this tab and taken out of the address (and so of the history). */
export function takeToken(): string {
  const fragment = new URLSearchParams(window.location.hash.slice(1));
  const fromAddress = fragment.get('token');
  if (!fromAddress) return sessionStorage.getItem(TOKEN_KEY) ?? '';
  sessionStorage.setItem(TOKEN_KEY, fromAddress);
  fragment.delete('token');
  const rest = fragment.get('page');
  history.replaceState(null, '', `${window.location.pathname}${window.location.search}${rest ? `#/${rest}` : ''}`);
  return fromAddress;
}
