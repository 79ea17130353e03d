import { Command as CommandSign, Keyboard, Moon, Play, Power, RotateCw, SquarePen, Sun, SunMoon, SwatchBook } from 'lucide-react';
import { useMemo } from 'react';
import type { ModelCard } from '../../main/contract/index.ts';
import { pages } from '../pages/registry.ts';
import type { Command } from '../stores/commands.ts';
import { type Stores, useModels, useStores } from '../stores/index.tsx';
import { isLoaded } from '../stores/models.ts';
import { useChooseModel } from './current-model.ts';
import { navigate } from './navigation.ts';
import type { Overlays } from './use-overlays.ts';

/** The actions that are there on every page. */
export function useGlobalCommands(overlays: Overlays): Command[] {
  const stores = useStores();
  const models = useModels((state) => state.models);
  const choose = useChooseModel();
  const { palette, setPalette, setModels, setShortcuts } = overlays;
  return useMemo(
    () => [
      { id: 'palette', title: 'Command palette', group: 'Go', icon: CommandSign, keys: 'mod+k', run: () => setPalette(!palette) },
      ...pages.map(
        (page): Command => ({ id: `page.${page.id}`, title: page.title, group: 'Go', icon: page.icon, keys: page.keys, run: () => navigate(page.id) }),
      ),
      { id: 'chat.new', title: 'New chat', group: 'Chat', icon: SquarePen, keys: 'mod+shift+o', run: () => newChat(stores) },
      { id: 'models.switch', title: 'Choose a model', group: 'Models', icon: SwatchBook, keys: 'mod+shift+m', run: () => setModels(true) },
      ...(models ?? []).flatMap((card) => modelCommands(card, choose, stores)),
      ...appCommands(stores),
      { id: 'shortcuts', title: 'Keyboard shortcuts', group: 'Application', icon: Keyboard, keys: 'mod+/', run: () => setShortcuts(true) },
    ],
    [stores, models, choose, palette, setPalette, setModels, setShortcuts],
  );
}

export function newChat(stores: Stores): void {
  stores.draft.getState().reset();
  navigate('chat');
}

function modelCommands(card: ModelCard, choose: (card: ModelCard) => void, stores: Stores): Command[] {
  if (card.problem) return [];
  const loaded = isLoaded(card);
  const use: Command = { id: `model.use.${card.id}`, title: `${loaded ? 'Use' : 'Load'} ${card.name}`, group: 'Models', icon: Play, run: () => choose(card) };
  if (!loaded) return [use];
  const unload = () => void stores.models.getState().unload(card.id);
  return [use, { id: `model.unload.${card.id}`, title: `Unload ${card.name}`, group: 'Models', icon: Power, run: unload }];
}

function appCommands(stores: Stores): Command[] {
  const change = (theme: 'dark' | 'light' | 'system') => () => void stores.settings.getState().change({ theme });
  return [
    { id: 'theme.dark', title: 'Dark theme', group: 'Application', icon: Moon, run: change('dark') },
    { id: 'theme.light', title: 'Light theme', group: 'Application', icon: Sun, run: change('light') },
    { id: 'theme.system', title: 'Theme of the system', group: 'Application', icon: SunMoon, run: change('system') },
    { id: 'engine.restart', title: 'Restart engine', group: 'Application', icon: RotateCw, run: () => void stores.app.getState().restartEngine() },
  ];
}
