// Where the window is: `#/page/part/...?query`. The address is the only state.
import { useMemo, useSyncExternalStore } from 'react';

export interface Location {
  page: string;
  /** decoded parts after the page: `['ID']` of `#/chat/ID` */
  parts: string[];
  query: URLSearchParams;
}

export function parseHash(hash: string): Location {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', ...parts] = path.split('/').filter(Boolean).map(decodePart);
  return { page: page || 'chat', parts, query: new URLSearchParams(query) };
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `address('experts', [], { message: 'ID' })` -> `#/experts?message=ID` */
export function address(page: string, parts: readonly string[] = [], query: Record<string, string> = {}): string {
  const search = new URLSearchParams(query).toString();
  return `#/${[page, ...parts].map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}`;
}

export function navigate(page: string, parts: readonly string[] = [], query: Record<string, string> = {}): void {
  window.location.hash = address(page, parts, query);
}

const subscribe = (changed: () => void) => {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
};

export function useLocation(): Location {
  const hash = useSyncExternalStore(subscribe, () => window.location.hash);
  return useMemo(() => parseHash(hash), [hash]);
}
