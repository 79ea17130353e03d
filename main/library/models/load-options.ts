// With which options a model is loaded.
import type { LoadOptions, ModelDefaults, Settings } from '../../contract/index.ts';

function withoutUndefined(options: LoadOptions): LoadOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Later ones win: the settings' load defaults, the settings' threads and devices, the model's defaults, the call's options. */
export function effectiveLoadOptions(settings: Settings, defaults: ModelDefaults, options: LoadOptions | undefined): LoadOptions {
  return {
    ...withoutUndefined(settings.loadDefaults),
    ...(settings.threads > 0 ? { threads: settings.threads } : {}),
    ...(settings.devices ? { devices: settings.devices } : {}),
    ...withoutUndefined(defaults.load ?? {}),
    ...withoutUndefined(options ?? {}),
  };
}

/** Whether two sets of options ask for the same, in whatever order they were written. */
export function sameLoadOptions(left: LoadOptions, right: LoadOptions): boolean {
  const text = (options: LoadOptions) => JSON.stringify(Object.entries(withoutUndefined(options)).sort(([a], [b]) => (a < b ? -1 : 1)));
  return text(left) === text(right);
}
