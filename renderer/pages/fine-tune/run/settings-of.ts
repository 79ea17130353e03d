export interface Setting {
  name: string;
  value: string;
}

/** `{ adapter: { experts: { loraRank: 8 } } }` -> `adapter.experts.loraRank`, `8` */
export function settingsOf(value: unknown, path = ''): Setting[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return [{ name: path, value: value.map(settingText).join(', ') }];
  if (typeof value !== 'object' || value === null) return [{ name: path, value: settingText(value) }];
  return Object.entries(value).flatMap(([key, member]) => settingsOf(member, path === '' ? key : `${path}.${key}`));
}

export const settingText = (value: unknown): string => (typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value));
