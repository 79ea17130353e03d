// Model library, downloads and hub, as the UI sees them.
import { z } from 'zod';
import { Estimate, Inspection, LoadedModel, LoadOptions, PlanResult, Sampling } from '../engine/protocol.ts';
import { ErrorBody } from './errors.ts';

export const ModelDefaults = z.strictObject({
  load: LoadOptions.optional(),
  sampling: Sampling.optional(),
  maxTokens: z.number().int().min(1).optional(),
  systemPrompt: z.string().optional(),
});
export type ModelDefaults = z.infer<typeof ModelDefaults>;

export const ModelState = z.discriminatedUnion('state', [
  z.object({ state: z.literal('unloaded') }),
  z.object({ state: z.literal('loading'), fraction: z.number(), stage: z.string() }),
  z.object({ state: z.literal('loaded'), loaded: LoadedModel.omit({ inspection: true }) }),
  z.object({ state: z.literal('failed'), error: ErrorBody }),
]);
export type ModelState = z.infer<typeof ModelState>;

export const ModelCard = z.object({
  /** stable over restarts; also the model name of the HTTP endpoint, e.g. `tiny-moe` (made unique by a suffix) */
  id: z.string(),
  path: z.string(),
  name: z.string(),
  bytes: z.number(),
  /** `embedded`: ships with the app and cannot be removed */
  source: z.enum(['embedded', 'folder', 'added', 'download']),
  /** one line on what it is, for the embedded model and where the metadata has one */
  note: z.string().nullable(),
  inspection: Inspection.nullable(),
  /** why it cannot be used */
  problem: ErrorBody.nullable(),
  state: ModelState,
  defaults: ModelDefaults,
  addedAt: z.number(),
});
export type ModelCard = z.infer<typeof ModelCard>;

export const HubFile = z.object({ path: z.string(), bytes: z.number(), sha256: z.string().nullable(), parts: z.number().int() });
export const HubRepository = z.object({
  repository: z.string(),
  downloads: z.number(),
  likes: z.number(),
  updatedAt: z.string().nullable(),
  license: z.string().nullable(),
  gated: z.boolean(),
});
export type HubRepository = z.infer<typeof HubRepository>;

export const Download = z.object({
  id: z.string(),
  repository: z.string(),
  file: z.string(),
  state: z.enum(['queued', 'running', 'paused', 'verifying', 'done', 'failed']),
  bytesDone: z.number(),
  bytesTotal: z.number(),
  bytesPerSecond: z.number(),
  error: ErrorBody.nullable(),
  modelId: z.string().nullable(),
  createdAt: z.number(),
});
export type Download = z.infer<typeof Download>;

const Id = z.strictObject({ id: z.string() });
/** exact: without what the model's defaults would add to the options */
const Proposal = Id.extend({ options: LoadOptions.optional(), exact: z.boolean().optional() });
/** of whoever asks: it has one question at a time */
const Ticket = z.strictObject({ ticket: z.string().min(1).max(100) });
const Ok = z.object({});
export const modelMethods = {
  'models.list': { parameters: z.strictObject({}), result: z.array(ModelCard) },
  'models.add': { parameters: z.strictObject({ path: z.string().min(1) }), result: ModelCard },
  'models.remove': { parameters: Id.extend({ deleteFiles: z.boolean().default(false) }), result: Ok },
  /** rescans every folder of the settings */
  'models.scan': { parameters: z.strictObject({}), result: z.array(ModelCard) },
  'models.setDefaults': { parameters: Id.extend({ defaults: ModelDefaults }), result: ModelCard },
  'models.estimate': { parameters: Proposal, result: Estimate },
  /** Memory, speed and its limit. The first of an engine measures the machine, which takes seconds. A further one with the same ticket cancels it. fold: of the best split. */
  'models.plan': { parameters: Proposal.extend({ ...Ticket.shape, fold: z.boolean().optional() }), result: PlanResult },
  'models.cancelPlan': { parameters: Ticket, result: Ok },
  /** resolves when loaded; a second call for a loaded model reloads it if the options differ */
  'models.load': { parameters: Id.extend({ options: LoadOptions.optional() }), result: ModelCard },
  'models.cancelLoad': { parameters: Id, result: Ok },
  'models.unload': { parameters: Id, result: ModelCard },
  'hub.search': { parameters: z.strictObject({ query: z.string(), limit: z.number().int().min(1).max(100).default(30) }), result: z.array(HubRepository) },
  'hub.files': { parameters: z.strictObject({ repository: z.string() }), result: z.array(HubFile) },
  'downloads.list': { parameters: z.strictObject({}), result: z.array(Download) },
  'downloads.start': { parameters: z.strictObject({ repository: z.string(), file: z.string() }), result: Download },
  'downloads.pause': { parameters: Id, result: Download },
  'downloads.resume': { parameters: Id, result: Download },
  /** stops it and deletes the partial file */
  'downloads.cancel': { parameters: Id, result: Ok },
} as const;

export const modelEvents = {
  /** the whole card, whenever anything of it changes (load progress included, at most 10 a second) */
  'models.changed': ModelCard,
  'models.removed': Id,
  'downloads.changed': Download,
  'downloads.removed': Id,
} as const;
