// LoRA adapters as llama-server's API names them: by number, or by our ids; and as models of their own, `MODEL:ADAPTER`.
import { z } from 'zod';
import { ADAPTERS_MOST, type AdapterChoice, adapterScale, type ModelAdapter, MoebiusError } from '../../contract/index.ts';
import type { LoadedModels } from '../../generation/generation.ts';
import { describeIssues } from '../../rpc/dispatcher.ts';

/** What the endpoint needs of main/library/adapters. */
export interface ApiAdapters {
  list(modelId?: string): ModelAdapter[];
  setScales(modelId: string, choices: AdapterChoice[]): Promise<void>;
}

export const LoraList = z.array(z.object({ id: z.union([z.number().int(), z.string()]), scale: adapterScale })).max(ADAPTERS_MOST);
export type LoraList = z.output<typeof LoraList>;

export interface AddressedModel {
  modelId: string;
  /** null: the model itself */
  adapterId: string | null;
}

/** `tiny-moe:pirate` -> the adapter `pirate` of `tiny-moe`. Ids of models have no colon. */
export function addressOf(model: string): AddressedModel {
  const at = model.indexOf(':');
  return at < 0 ? { modelId: model, adapterId: null } : { modelId: model.slice(0, at), adapterId: model.slice(at + 1) };
}

/** What a request has on; undefined: it does not say. Throws adapter.not-found, request.invalid. */
export function toChoices(adapters: ApiAdapters, { modelId, adapterId }: AddressedModel, lora: LoraList | undefined): AdapterChoice[] | undefined {
  if (lora === undefined) return adapterId === null ? undefined : [{ id: find(adapters, modelId, adapterId, 'model').id, scale: 1 }];
  const choices = lora.map(({ id, scale }) => ({ id: find(adapters, modelId, id, 'lora').id, scale }));
  const twice = choices.find(({ id }, index) => choices.findIndex((other) => other.id === id) !== index);
  if (twice) throw new MoebiusError('request.invalid', `lora names the adapter "${twice.id}" twice.`, { details: { param: 'lora' } });
  return choices;
}

function find(adapters: ApiAdapters, modelId: string, id: number | string, param: string): ModelAdapter {
  const all = adapters.list(modelId);
  const found = all.find((adapter) => adapter.id === id || adapter.number === id);
  if (found) return found;
  const names = all.map((adapter) => `${adapter.number} (${adapter.id})`).join(', ') || 'none';
  throw new MoebiusError('adapter.not-found', `The model "${modelId}" has no adapter ${JSON.stringify(id)}. It has ${names}.`, { details: { param } });
}

/** GET /lora-adapters?model=ID; without `model` that which was loaded last. */
export function listLora(adapters: ApiAdapters, models: LoadedModels, query: unknown) {
  const modelId = modelOf(models, query);
  return adapters.list(modelId).map(({ number, id, name, path, scale }) => ({ id: number, path, scale, name, model: `${modelId}:${id}` }));
}

/** POST /lora-adapters: the scales of requests that say nothing, 0 for those that are not named. */
export async function setLora(adapters: ApiAdapters, models: LoadedModels, query: unknown, body: unknown): Promise<{ success: true }> {
  const modelId = modelOf(models, query);
  const parsed = LoraList.safeParse(body);
  if (!parsed.success) throw new MoebiusError('request.invalid', `The body has to be a list of {"id", "scale"}: ${describeIssues(parsed.error)}`);
  await adapters.setScales(modelId, toChoices(adapters, { modelId, adapterId: null }, parsed.data) ?? []);
  return { success: true };
}

function modelOf(models: LoadedModels, query: unknown): string {
  const asked = z.object({ model: z.string().min(1).optional() }).safeParse(query);
  if (!asked.success) throw new MoebiusError('request.invalid', describeIssues(asked.error), { details: { param: 'model' } });
  const modelId = asked.data.model ?? models.loadedIds()[0];
  if (modelId === undefined) throw new MoebiusError('model.not-loaded', 'No model is loaded: name one with ?model=ID.', { details: { param: 'model' } });
  return modelId;
}
