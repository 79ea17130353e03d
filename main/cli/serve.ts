import type { Command } from 'commander';
import { type AdapterFlag, adapterFlag, collect, UsageError, wholeNumber } from './options.ts';
import { print, printJson } from './output.ts';
import { defaultDataFolder, embeddedModel, rendererRoot } from './paths.ts';

interface ServeFlags {
  port: number;
  api?: boolean;
  apiPort?: number;
  data?: string;
  remote?: string[];
  adapter?: AdapterFlag[];
  adapterModel?: string;
  json?: boolean;
  logLevel: string;
}

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('run the app headless: the UI in a browser on this machine, and the OpenAI-compatible endpoint with --api')
    .option('--port <port>', 'port of the UI, 0: any free one', wholeNumber, 0)
    .option('--api', 'serve the OpenAI-compatible endpoint, whatever the settings say')
    .option('--api-port <port>', 'its port, 0: any free one (default: the one of the settings)', wholeNumber)
    .option('--remote <host:port>', 'also use a machine that runs "moebius rpc-server" (may be given several times)', collect)
    .option(
      '--adapter <file[:scale]>',
      'add a LoRA adapter, on in requests that say nothing about adapters, at scale 1 if none is given (may be given several times)',
      adapterFlag,
    )
    .option('--adapter-model <id>', 'the model that --adapter is for (default: the embedded one)')
    .option('--data <folder>', 'where chats, settings and downloads live')
    .option('--json', 'announce the addresses as JSON lines')
    .option('--log-level <level>', 'of the log on stderr: debug, info, warn, error, silent', 'warn')
    .action(serve);
}

type Announcement = { what: 'ui' | 'api'; url: string } | { what: 'api'; error: string };

async function serve(flags: ServeFlags): Promise<void> {
  // only this command needs the whole application
  const [{ default: pino }, { createCore }, { startWebServer }] = await Promise.all([import('pino'), import('../core.ts'), import('../server/web-server.ts')]);
  if (!Object.hasOwn({ ...pino.levels.values, silent: 0 }, flags.logLevel))
    throw new UsageError(`--log-level ${flags.logLevel}: use debug, info, warn, error or silent.`);
  for (const [name, port] of [
    ['--port', flags.port],
    ['--api-port', flags.apiPort ?? 0],
  ] as const) {
    if (port < 0 || port > 65535) throw new UsageError(`${name} ${port}: ports are 0 to 65535.`);
  }
  const logger = pino({ level: flags.logLevel }, pino.destination(2));
  const announce = (what: Announcement) => (flags.json ? printJson(what) : print(announcementText(what)));
  const core = await createCore({ dataFolder: flags.data ?? defaultDataFolder(), embeddedModel: embeddedModel(), logger });
  const stopped = untilStopped();
  try {
    const api = flags.api || flags.apiPort !== undefined ? { enabled: true, port: flags.apiPort } : undefined;
    await core.start({ api, machines: flags.remote });
    for (const adapter of flags.adapter ?? []) await core.addAdapter(flags.adapterModel, adapter);
    const web = await startWebServer({
      root: rendererRoot(),
      port: flags.port,
      dispatcher: core.dispatcher,
      hub: core.hub,
      logger,
      onUrl: (url) => announce({ what: 'ui', url }),
    });
    const endpoint = core.api.status();
    if (endpoint.url !== null) announce({ what: 'api', url: endpoint.url });
    if (endpoint.error !== null) announce({ what: 'api', error: endpoint.error.message });
    await stopped;
    await web.close();
  } finally {
    await core.dispose();
  }
}

function announcementText(what: Announcement): string {
  if ('error' in what) return `The endpoint does not run: ${what.error}`;
  return what.what === 'ui' ? `Moebius is ready: open ${what.url}   (works once; Ctrl+C ends)` : `OpenAI-compatible endpoint: ${what.url}`;
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve());
  });
}
