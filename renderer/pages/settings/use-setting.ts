import { useCallback } from 'react';
import type { Settings } from '../../../main/contract/index.ts';
import { useSettings, useStores } from '../../stores/index.tsx';

/** The settings, which are there whenever a section is drawn, and the way to change them. */
export function useSettingValues(): { settings: Settings; change: (change: Partial<Settings>) => void } {
  const { settings: store } = useStores();
  const settings = useSettings((state) => state.settings);
  const change = useCallback((changed: Partial<Settings>) => void store.getState().change(changed), [store]);
  if (!settings) throw new Error('a settings section was drawn before the settings were there');
  return { settings, change };
}
