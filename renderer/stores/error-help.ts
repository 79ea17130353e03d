// What the user can do about an error of the core, and the button that does it. The message itself, with its numbers, comes from the core.
import type { ErrorBody, ErrorCode } from '../../main/contract/index.ts';
import { navigate } from '../shell/navigation.ts';
import type { Stores } from './index.tsx';
import { isLoaded } from './models.ts';
import type { ErrorHelp } from './notices.ts';

type Help = (stores: Stores, error: ErrorBody) => ErrorHelp;

const restart: Help = (stores) => ({
  advice: 'Restart the engine; chats and settings are not touched by it.',
  actions: [{ label: 'Restart engine', run: () => void stores.app.getState().restartEngine() }],
});
const openModels: Help = () => ({ actions: [{ label: 'Open Models', run: () => navigate('models') }] });
const openSettings: Help = () => ({ actions: [{ label: 'Open Settings', run: () => navigate('settings') }] });
const unloadOthers: Help = (stores) => {
  const loaded = (stores.models.getState().models ?? []).filter(isLoaded);
  return {
    advice: 'Use a shorter context, fewer sequences or fewer GPU layers, or unload another model first.',
    actions: [
      ...loaded.slice(0, 2).map((card) => ({ label: `Unload ${card.name}`, run: () => void stores.models.getState().unload(card.id) })),
      { label: 'Load options', run: () => navigate('models') },
    ],
  };
};
const loadModel: Help = (stores, error) => {
  const wanted = stores.models.getState().models?.find((card) => card.id === error.details?.modelId);
  if (!wanted) return { advice: 'Load a model first.', ...openModels(stores, error) };
  return { actions: [{ label: `Load ${wanted.name}`, run: () => void stores.models.getState().load(wanted.id) }] };
};

const helpByCode: Partial<Record<ErrorCode, Help>> = {
  'engine.crash-loop': restart,
  'engine.unresponsive': restart,
  'engine.starting': () => ({ advice: 'Try again in a moment.' }),
  'engine.version': openSettings,
  'model.not-loaded': loadModel,
  'model.not-found': openModels,
  'model.does-not-fit': unloadOthers,
  'model.load-failed': openModels,
  'context.full': () => ({ advice: 'Start a new chat, load the model with a longer context, or set Overflow to “shift” in the parameters.' }),
  'prompt.too-long': () => ({ advice: 'Shorten the message or the system prompt, or load the model with a longer context.' }),
  'hub.unreachable': (stores, error) => ({ advice: 'Check the network, or the hub address in Settings.', ...openSettings(stores, error) }),
  'disk.full': (stores, error) => ({ advice: 'Free some space or choose another download folder.', ...openSettings(stores, error) }),
  'server.busy': () => ({ advice: 'Try again when a running reply has ended.' }),
  'chat.busy': () => ({ advice: 'Stop the running reply first, or wait for it.' }),
};

export function errorHelp(error: ErrorBody, stores: Stores): ErrorHelp {
  return helpByCode[error.code]?.(stores, error) ?? {};
}
