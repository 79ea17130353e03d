// Reading settings that an older, newer or broken version of the app wrote.
import { z } from 'zod';
import { Settings } from '../contract/index.ts';

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keeps the fields of `stored` that `schema` knows and accepts, one by one; every other one comes from `fallback`. */
function keepValidFields(schema: z.ZodObject, stored: unknown, fallback: Record<string, unknown>): Record<string, unknown> {
  const kept: Record<string, unknown> = { ...fallback };
  if (!isRecord(stored)) return kept;
  for (const [name, field] of Object.entries(schema.shape)) {
    if (!Object.hasOwn(stored, name)) continue;
    const value = stored[name];
    const previous = fallback[name];
    if (field instanceof z.ZodObject) {
      kept[name] = keepValidFields(field, value, isRecord(previous) ? previous : {});
      continue;
    }
    const parsed = z.safeParse(field, value);
    if (parsed.success) kept[name] = parsed.data;
  }
  return kept;
}

/** `json`: the stored row, or undefined when there is none yet. Never throws: what cannot be read is the default. */
export function readStoredSettings(json: string | undefined, defaults: Settings): Settings {
  if (json === undefined) return defaults;
  let stored: unknown;
  try {
    stored = JSON.parse(json);
  } catch {
    return defaults;
  }
  return Settings.parse(keepValidFields(Settings, stored, defaults));
}
