// In which settings runs differ.
import { isDeepStrictEqual } from 'node:util';
import type { SettingDifference, TrainingRun } from '../../contract/index.ts';

type Json = SettingDifference['values'][number];

/** Settings by their path, as `schedule.learningRate`; lists are one setting. */
export function settingDifferences(runs: readonly Pick<TrainingRun, 'modelId' | 'plan'>[]): SettingDifference[] {
  const settings = runs.map(({ modelId, plan }) => new Map<string, Json>([['model', modelId], ...flat('', plan)]));
  const names = [...new Set(settings.flatMap((each) => [...each.keys()]))];
  return names.flatMap((setting) => {
    const values = settings.map((each) => each.get(setting) ?? null);
    return values.every((value) => isDeepStrictEqual(value, values[0])) ? [] : [{ setting, values }];
  });
}

function flat(path: string, value: object): [string, Json][] {
  return Object.entries(value).flatMap(([name, field]): [string, Json][] => {
    if (field === undefined) return [];
    if (field !== null && typeof field === 'object' && !Array.isArray(field)) return flat(`${path}${name}.`, field);
    return [[`${path}${name}`, field]];
  });
}
