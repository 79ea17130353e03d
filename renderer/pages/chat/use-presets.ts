import { useCallback, useEffect, useState } from 'react';
import type { Parameters, Preset } from '../../../main/contract/index.ts';
import { useApp, useStores } from '../../stores/index.tsx';

export function usePresets() {
  const { client, notices } = useStores();
  const connected = useApp((state) => state.connection === 'connected');
  const [presets, setPresets] = useState<Preset[]>([]);
  const fetch = useCallback(async () => setPresets(await client.call('presets.list', {})), [client]);
  useEffect(() => {
    if (connected) fetch().catch((error: unknown) => notices.getState().error(error));
  }, [connected, fetch, notices]);
  const save = useCallback(
    async (preset: Parameters<'presets.save'>) => {
      const saved = await client.call('presets.save', preset);
      await fetch();
      return saved;
    },
    [client, fetch],
  );
  const remove = useCallback(
    async (id: string) => {
      await client.call('presets.delete', { id });
      await fetch();
    },
    [client, fetch],
  );
  return { presets, save, remove };
}
