// The recorded routes of one message, a page at a time.
import { useCallback, useEffect, useState } from 'react';
import type { Result } from '../../../main/contract/index.ts';
import { useStores } from '../../stores/index.tsx';

const PAGE = 1024;
export type Routes = Result<'experts.tokens'>;

/** `more`: fetches the next page; null when everything is here. Give a message a component of its own (`key`). */
export function useRoutes(messageId: string): { routes: Routes | null; error: unknown; more: (() => void) | null } {
  const { client } = useStores();
  const [routes, setRoutes] = useState<Routes | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [offset, setOffset] = useState(0);
  useEffect(() => {
    let current = true;
    client.call('experts.tokens', { messageId, offset, limit: PAGE }).then(
      (page) => current && setRoutes((before) => (before && offset > 0 ? { ...page, tokens: [...before.tokens.slice(0, offset), ...page.tokens] } : page)),
      (thrown: unknown) => current && setError(thrown),
    );
    return () => {
      current = false;
    };
  }, [client, messageId, offset]);
  const here = routes?.tokens.length ?? 0;
  const more = useCallback(() => setOffset(here), [here]);
  return { routes, error, more: routes && here < routes.total ? more : null };
}
