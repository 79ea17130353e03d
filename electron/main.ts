// Entry of Electron's main process: puts the shell and the application core together.
import { join } from 'node:path';
import { app, protocol } from 'electron';
import pino from 'pino';
import { defaultDataFolder, embeddedModel, rendererRoot } from '../main/cli/paths.ts';
import { createCore } from '../main/core.ts';
import { registerScheme } from './protocol.ts';
import { Shell } from './shell.ts';

const dataFolder = defaultDataFolder();
const stateFolder = join(dataFolder, 'window');
const logger = pino({ level: 'info' }, pino.destination(2));

app.setName('Moebius');
app.setPath('userData', stateFolder);
registerScheme(protocol);

new Shell({
  createCore: () => createCore({ dataFolder, embeddedModel: embeddedModel(), logger }),
  logger,
  rendererRoot: rendererRoot(),
  preload: join(import.meta.dirname, 'preload.cjs'),
  stateFolder,
  parameters: process.argv.slice(app.isPackaged ? 1 : 2),
}).run();
