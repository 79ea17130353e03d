// LoRA adapters of the library's models: files that a model can be used with, switched by each request.
import { z } from 'zod';
import { ADAPTERS_MOST, adapterScale, LoadedAdapter } from '../engine/protocol.ts';
import { ErrorBody } from './errors.ts';

/** Of a conversation or a request: what is on. Adapters that are not named are off. */
export const AdapterChoice = z.strictObject({ id: z.string().min(1), scale: adapterScale });
export type AdapterChoice = z.infer<typeof AdapterChoice>;
/** Left out: every adapter of the model at its own scale. */
export const AdapterChoices = z.array(AdapterChoice).max(ADAPTERS_MOST);

/** As a message keeps it: it outlives the adapter. */
export const AppliedAdapter = z.object({ id: z.string(), name: z.string(), scale: z.number() });
export type AppliedAdapter = z.infer<typeof AppliedAdapter>;

export const ModelAdapter = z.object({
  /** of all adapters of the library, stable over restarts, e.g. `pirate` (made unique by a suffix) */
  id: z.string(),
  /** of this model's adapters: the `id` of llama-server's API; stays the same */
  number: z.number().int(),
  modelId: z.string(),
  path: z.string(),
  name: z.string(),
  /** in requests that do not say which adapters are on; 0: off */
  scale: z.number(),
  /** what the engine found in the file when it was added */
  content: LoadedAdapter.omit({ adapter: true, path: true }),
  /** why it could not be used when it was last asked for */
  problem: ErrorBody.nullable(),
});
export type ModelAdapter = z.infer<typeof ModelAdapter>;

const Id = z.strictObject({ id: z.string() });

export const adapterMethods = {
  /** of all models, or of one */
  'adapters.list': { parameters: z.strictObject({ modelId: z.string().optional() }), result: z.array(ModelAdapter) },
  /**
   * Checks the file against the model, which is loaded for that if need be, and keeps it with the model. scale: as ModelAdapter's, default 0.
   * A path that the model has already gives that adapter, read again.
   */
  'adapters.add': {
    parameters: z.strictObject({ modelId: z.string(), path: z.string().min(1), name: z.string().min(1).max(100).optional(), scale: adapterScale.default(0) }),
    result: ModelAdapter,
  },
  'adapters.update': { parameters: Id.extend({ name: z.string().min(1).max(100).optional(), scale: adapterScale.optional() }), result: ModelAdapter },
  /** The file stays. Replies that are being written with it end with it. */
  'adapters.remove': { parameters: Id, result: z.object({}) },
} as const;

export const adapterEvents = {
  /** all adapters of a model, whenever anything of them changes */
  'adapters.changed': z.object({ modelId: z.string(), adapters: z.array(ModelAdapter) }),
} as const;
