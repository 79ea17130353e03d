// The application as a whole: engine health, devices, settings, the HTTP endpoint's switch.
import { z } from 'zod';
import { Device, LoadOptions, MachineEndpoint } from '../engine/protocol.ts';
import { ErrorBody } from './errors.ts';

export const EngineStatus = z.object({
  /** `stopped`: it crashed 3 times in 5 minutes and waits for `engine.restart`; `unresponsive`: no answer to ping for 5 s */
  state: z.enum(['starting', 'ready', 'restarting', 'unresponsive', 'stopped']),
  processId: z.number().int().nullable(),
  restarts: z.number().int(),
  llamaVersion: z.string().nullable(),
  backends: z.array(z.string()),
  error: ErrorBody.nullable(),
});
export type EngineStatus = z.infer<typeof EngineStatus>;

/** Another machine whose devices can be used. */
export const RemoteMachine = z.object({
  endpoint: z.string(),
  /** ids as in `devices.list`; empty until it is connected */
  devices: z.array(z.string()),
  /** why it cannot be used; null: it can, or it is not yet known */
  problem: z.string().nullable(),
});
export type RemoteMachine = z.infer<typeof RemoteMachine>;

export const Theme = z.enum(['dark', 'light', 'system']);
export const Settings = z.object({
  theme: Theme,
  modelFolders: z.array(z.string()),
  /** where downloads go */
  downloadFolder: z.string(),
  /** 0: let the engine choose (physical cores) */
  threads: z.number().int().min(0).max(512),
  /** null: every GPU of this machine */
  devices: z.array(z.string()).nullable(),
  /** machines that lend their devices (`moebius rpc-server`), host:port */
  remoteMachines: z.array(MachineEndpoint),
  loadDefaults: LoadOptions,
  hubUrl: z.url(),
  /** keep token-level routes of replies for the token inspector */
  recordRoutes: z.boolean(),
  /** layout files of models that do not fit into RAM: written in the background by themselves, or offered; `off`: only when asked for */
  expertLayouts: z.enum(['auto', 'ask', 'off']),
  /** load at start what was loaded at the end */
  reloadModels: z.boolean(),
  api: z.object({ enabled: z.boolean(), port: z.number().int().min(0).max(65535) }),
});
export type Settings = z.infer<typeof Settings>;

export const ApiStatus = z.object({ running: z.boolean(), url: z.string().nullable(), keyRequired: z.boolean(), error: ErrorBody.nullable() });
export type ApiStatus = z.infer<typeof ApiStatus>;

export const AppInfo = z.object({
  version: z.string(),
  platform: z.string(),
  dataFolder: z.string(),
  embeddedModelId: z.string(),
  engine: EngineStatus,
});
export type AppInfo = z.infer<typeof AppInfo>;

export const appMethods = {
  'app.info': { parameters: z.strictObject({}), result: AppInfo },
  'devices.list': { parameters: z.strictObject({}), result: z.array(Device) },
  'devices.remote': { parameters: z.strictObject({}), result: z.array(RemoteMachine) },
  /** tries those again that could not be reached */
  'devices.reconnect': { parameters: z.strictObject({}), result: z.array(RemoteMachine) },
  'engine.restart': { parameters: z.strictObject({}), result: EngineStatus },
  'settings.get': { parameters: z.strictObject({}), result: Settings },
  'settings.set': { parameters: Settings.partial().strict(), result: Settings },
  'api.status': { parameters: z.strictObject({}), result: ApiStatus },
  /** null removes the key; the key itself is never given back */
  'api.setKey': { parameters: z.strictObject({ key: z.string().min(16).nullable() }), result: ApiStatus },
} as const;

export const appEvents = {
  'engine.changed': EngineStatus,
  'devices.changed': z.array(RemoteMachine),
  'settings.changed': Settings,
  'api.changed': ApiStatus,
  'app.openFile': z.object({ path: z.string() }),
} as const;
