// `adapter.*`: LoRA adapters beside a loaded model, switched by each request (native/model/adapter-methods.cpp).
import { z } from 'zod';

/** What a request switches on: W + scale * alpha / r * (a b)^T. 0: off; negative: the other way. */
export const adapterScale = z.number().min(-100).max(100);
/** Most adapters that one request may have on. */
export const ADAPTERS_MOST = 16;

export const AdapterUse = z.strictObject({
  /** handle of `adapter.load` */
  adapter: z.number().int().min(1),
  /** default 1 */
  scale: adapterScale.optional(),
});
export type AdapterUse = z.infer<typeof AdapterUse>;

export const LoadedAdapter = z.object({
  /** handle for later calls; unique for the life of the engine process */
  adapter: z.number().int(),
  path: z.string(),
  /** base tensors that it changes */
  tensorCount: z.number().int(),
  parameterCount: z.number(),
  /** smallest and largest of its pairs */
  loraRankLeast: z.number().int(),
  loraRankMost: z.number().int(),
  /** of the file; 0: pairs are not scaled by alpha / rank */
  loraAlpha: z.number(),
  /** it changes routed experts; routers */
  changesExperts: z.boolean(),
  changesRouter: z.boolean(),
  /** of memory */
  bytes: z.number(),
});
export type LoadedAdapter = z.infer<typeof LoadedAdapter>;

const ModelHandle = z.strictObject({ model: z.number().int() });

export const loadedAdapterMethods = {
  /** A GGUF file with LoRA pairs for this model. It acts in the requests that name it, in no others. */
  'adapter.load': { parameters: ModelHandle.extend({ path: z.string().min(1) }), result: LoadedAdapter },
  /** Requests that are running keep it to their end. */
  'adapter.unload': { parameters: ModelHandle.extend({ adapter: z.number().int() }), result: z.object({}) },
  'adapter.list': { parameters: ModelHandle, result: z.object({ adapters: z.array(LoadedAdapter) }) },
} as const;
