// Settings of a new installation.
import path from 'node:path';
import type { Settings } from '../contract/index.ts';

export const defaultHubUrl = 'https://huggingface.co';

/** `dataFolder`: absolute; the folder of the app's own data (database, downloads). */
export function defaultSettings(dataFolder: string): Settings {
  const models = path.join(dataFolder, 'models');
  return {
    theme: 'dark',
    modelFolders: [models],
    downloadFolder: models,
    threads: 0,
    devices: null,
    remoteMachines: [],
    loadDefaults: {},
    hubUrl: defaultHubUrl,
    recordRoutes: true,
    expertLayouts: 'auto',
    reloadModels: true,
    api: { enabled: false, port: 8674 },
  };
}
