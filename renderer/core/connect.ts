import type { CoreClient } from '../../main/contract/index.ts';
import { connectMessagePort } from './message-port.ts';
import { type Credential, connectWebSocket } from './websocket.ts';

const SESSION_KEY = 'moebius.session';

/**
 * The core of this window: over the preload's MessagePort inside Electron, else over a WebSocket to where the page came from.
 * `onRefused` is called when the core accepts neither the token of the address nor this tab's session.
 */
export function connectCore(onRefused: () => void): CoreClient {
  if (window.moebius) return connectMessagePort(window.moebius);
  const url = new URL('rpc', new URL('.', window.location.href));
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = '';
  url.search = '';
  return connectWebSocket({ url: url.href, credential: takeCredential(), onSession: (session) => sessionStorage.setItem(SESSION_KEY, session), onRefused });
}

/** The one-time token of `#token=...`, taken out of the address (and so of the history); without one, the session that this tab has. */
export function takeCredential(): Credential {
  const fragment = new URLSearchParams(window.location.hash.slice(1));
  const token = fragment.get('token');
  if (!token) return { session: sessionStorage.getItem(SESSION_KEY) ?? '' };
  fragment.delete('token');
  const rest = fragment.get('page');
  history.replaceState(null, '', `${window.location.pathname}${window.location.search}${rest ? `#/${rest}` : ''}`);
  return { token };
}
