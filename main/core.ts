// Where the application core is put together: every service gets its dependencies here, and nowhere else.
import { join } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { ChatService } from './chat/chat-service.ts';
import type { AppInfo, Handlers, Settings } from './contract/index.ts';
import { engineEnvironment, type LocateOptions, locateEngine } from './engine/locate.ts';
import type { Logger } from './engine/log.ts';
import { engineOfItsOwn } from './engine/own-engine.ts';
import { RemoteMachines } from './engine/remote-machines.ts';
import { EngineSupervisor } from './engine/supervisor.ts';
import { CacheTuner } from './experts/cache-tuner.ts';
import { ExpertService } from './experts/expert-service.ts';
import { LayoutKeeper, type LayoutKeeperTuning } from './experts/layout-keeper.ts';
import { PlacementService } from './experts/placement-service.ts';
import { SuperExpertMemory } from './experts/super-experts.ts';
import { GenerationService } from './generation/generation-service.ts';
import { TrialService } from './generation/trial-service.ts';
import { AdapterLibrary } from './library/adapters/adapter-library.ts';
import { embeddedModelId, ModelLibrary } from './library/library.ts';
import { Dispatcher } from './rpc/dispatcher.ts';
import { EventHub } from './rpc/event-hub.ts';
import { ApiService } from './server/api/api-service.ts';
import { defaultSettings } from './settings/defaults.ts';
import { SettingsService } from './settings/settings.ts';
import { openDatabase } from './storage/open.ts';
import { TrainingService } from './training/jobs/training-service.ts';

export interface CoreOptions {
  /** absolute; created if need be; one process at a time */
  dataFolder: string;
  /** absolute path of the GGUF that ships with the app */
  embeddedModel: string;
  logger: Logger;
  /** where the engine is, if not in this checkout */
  engine?: LocateOptions;
  /** when layout files are written; for tests */
  layouts?: Partial<LayoutKeeperTuning>;
}

export interface StartOptions {
  /** instead of the settings; `port` undefined: the one of the settings */
  api?: { enabled: boolean; port?: number };
  /** host:port, beside those of the settings */
  machines?: string[];
}

export interface Core {
  readonly dispatcher: Dispatcher;
  readonly hub: EventHub;
  readonly api: ApiService;
  /** Starts engine, library and endpoint. Resolves when calls can be served; models go on loading. */
  start(options?: StartOptions): Promise<void>;
  /** undefined: to the embedded model. Rejects with what is wrong with model or file. */
  addAdapter(modelId: string | undefined, adapter: { path: string; scale: number }): Promise<void>;
  /** Ends everything in the reverse order; idempotent. */
  dispose(): Promise<void>;
}

/** Opens the data folder. Rejects with MoebiusError when another process has it, or when it or the engine cannot be used. */
export async function createCore(options: CoreOptions): Promise<Core> {
  const { dataFolder, logger } = options;
  const location = locateEngine(options.engine);
  for (const { folder, reason } of location.skipped) logger.warn(`${folder} is not used: ${reason}`);
  const database = await openDatabase(join(dataFolder, 'moebius.db'), { logger });
  const hub = new EventHub();
  const { publish } = hub;
  const launch = { command: location.executable, environment: engineEnvironment(location), llamaVersion: location.llamaVersion, logger };
  const engine = new EngineSupervisor(launch);
  const settings = new SettingsService(database, defaultSettings(dataFolder), publish);
  const machines = new RemoteMachines({ engine, publish, logger });
  const library = new ModelLibrary({ engine, database, settings, publish, embeddedModelPath: options.embeddedModel, logger });
  const adapters = new AdapterLibrary({ engine, database, models: library, publish });
  const tuner = new CacheTuner({ engine, folder: join(dataFolder, 'routing'), logger });
  const superExperts = new SuperExpertMemory({ engine, folder: join(dataFolder, 'routing'), logger });
  const layouts = new LayoutKeeper({
    engine,
    database,
    tuner,
    settings: () => settings.current,
    publish,
    logger,
    ...(options.layouts && { tuning: options.layouts }),
  });
  const experts = new ExpertService({ database, engine, tuner, superExperts, layouts, logger });
  const generations = new GenerationService({ engine, models: library, adapters, usage: experts, publish });
  const trials = new TrialService(generations, publish);
  const placement = new PlacementService({ engine, models: library, tuner });
  const chats = new ChatService({ database, generations, models: library, adapters, publish, recordRoutes: () => settings.current.recordRoutes, logger });
  const training = new TrainingService({
    folder: join(dataFolder, 'training'),
    database,
    models: library,
    withEngine: engineOfItsOwn(launch),
    publish,
    logger,
  });
  const api = new ApiService(database, publish, {
    generations,
    models: library,
    adapters,
    cards: () => library.list(),
    engineStatus: () => engine.status,
    logger,
  });

  const handlers: Handlers = {
    'app.info': (): AppInfo => ({ version: packageJson.version, platform: process.platform, dataFolder, embeddedModelId, engine: engine.status }),
    'devices.list': async () => (await engine.call('devices.list', {})).devices,
    'engine.restart': async () => {
      await engine.restart();
      return engine.status;
    },
    ...machines.handlers,
    ...settings.handlers,
    ...library.handlers,
    ...adapters.handlers,
    ...trials.handlers,
    ...chats.handlers,
    ...experts.handlers,
    ...placement.handlers,
    ...layouts.handlers,
    ...api.handlers,
    ...training.handlers,
  };

  engine.onStatus((status) => publish('engine.changed', status));
  hub.subscribe((event, payload) => {
    if (event === 'models.removed' && 'id' in payload) {
      layouts.removed(payload.id);
      adapters.modelRemoved(payload.id).catch((error: Error) => logger.warn(error.message));
    }
    if (event !== 'models.changed' || !('state' in payload)) return;
    if (isIn(payload, 'unloaded')) {
      experts.resetModel(payload.id);
      tuner.unloaded(payload.id);
      layouts.unloaded(payload.id);
    } else if (isIn(payload, 'loaded')) {
      const { id } = payload;
      void library.acquire(id).then(
        ({ loaded }) => {
          tuner.loaded(id, loaded);
          layouts.loaded(id, loaded);
          void superExperts.loaded(id, loaded);
        },
        () => {},
      ); // gone again already
    }
  });

  let disposed: Promise<void> | null = null;
  return {
    dispatcher: new Dispatcher(handlers),
    hub,
    api,
    async start({ api: override, machines: more = [] }: StartOptions = {}) {
      await settings.start();
      await adapters.start();
      await chats.start();
      const machinesOf = ({ remoteMachines }: Settings) => [...new Set([...remoteMachines, ...more])];
      void machines.apply(machinesOf(settings.current)); // when the engine is ready; models that want them connect by themselves
      engine.start().catch((error: Error) => logger.error(error.message)); // the UI shows it from engine.changed
      await library.start();
      await training.start();
      const apiSettings = (current: Settings) => (override ? { enabled: override.enabled, port: override.port ?? current.api.port } : current.api);
      await api.start(apiSettings(settings.current));
      settings.onChange((current, previous) => {
        void api.apply(apiSettings(current));
        if (current.remoteMachines.join() !== previous.remoteMachines.join()) void machines.apply(machinesOf(current));
      });
    },
    async addAdapter(modelId = embeddedModelId, { path, scale }) {
      await adapters.handlers['adapters.add']({ modelId, path, scale });
    },
    dispose() {
      disposed ??= (async () => {
        await api.dispose();
        trials.dispose();
        await chats.dispose();
        await training.dispose();
        await layouts.dispose();
        await tuner.dispose();
        await library.dispose();
        machines.dispose();
        await engine.dispose();
        await database.close();
      })();
      return disposed;
    },
  };
}

function isIn(payload: object, state: 'loaded' | 'unloaded'): payload is { id: string } {
  return 'id' in payload && 'state' in payload && (payload.state as { state?: unknown }).state === state; // a model card's state is an object with `state`
}
