// Budgets for experts as sliders: which there are, how far they go, and what moving one means for the load options.
import type { Device, Estimate, LoadOptions } from '../../../main/contract/index.ts';

/** of a slider, from its least to its most */
export const BUDGET_STEPS = 200;

export interface Budget {
  /** of the device; `CPU` is the RAM */
  id: string;
  bytes: number;
  least: number;
  most: number;
}

export const stepOf = ({ bytes, least, most }: Budget): number =>
  Math.round(Math.min(1, Math.max(0, (bytes - least) / Math.max(1, most - least))) * BUDGET_STEPS);
export const bytesAt = ({ least, most }: Budget, step: number): number => Math.round(least + ((most - least) * step) / BUDGET_STEPS);

/** RAM that experts are kept in, of what is free at most; what was not chosen is what the engine would take. Null: the model's experts cannot be kept apart. */
export function ramBudget(options: LoadOptions, { expertRoom, devices, options: filled }: Estimate): Budget | null {
  if (!expertRoom) return null;
  const { ramBytesLeast: least, ramBytesMost } = expertRoom;
  const cpu = devices.find(({ id }) => id === 'CPU');
  const most = Math.max(least, cpu ? Math.min(ramBytesMost, cpu.memoryFree) : ramBytesMost);
  return { id: 'CPU', bytes: options.expertRamBytes || filled.expertRamBytes || most, least, most };
}

/** One for each GPU: its experts' copies, of what is free there at most. */
export function deviceBudgets(options: LoadOptions, { expertRoom, devices: estimated, options: filled }: Estimate, devices: readonly Device[]): Budget[] {
  if (!expertRoom) return [];
  return devices
    .filter(({ kind }) => kind !== 'cpu' && kind !== 'accel')
    .map(({ id, memoryFree, memoryTotal }) => {
      const known = estimated.find((device) => device.id === id);
      const [free, total] = known ? [known.memoryFree, known.memoryTotal] : [memoryFree, memoryTotal];
      const most = total > 0 ? Math.min(expertRoom.deviceBytesMost, free) : expertRoom.deviceBytesMost;
      const chosen = (options.expertDevices ?? filled.expertDevices)?.find((budget) => budget.id === id);
      return { id, bytes: chosen?.bytes ?? 0, least: 0, most };
    });
}

/** `expertDevices` of budgets as they are shown: none at all is no cache on GPUs. */
export const asExpertDevices = (shown: readonly Budget[]): NonNullable<LoadOptions['expertDevices']> =>
  shown.some(({ bytes }) => bytes > 0) ? shown.map(({ id, bytes }) => ({ id, bytes })) : [];

/** The options with one budget of `shown` changed. Other devices keep what they are shown with; copies need an expert cache, so RAM that was set to none becomes automatic. */
export function withDeviceBudget(options: LoadOptions, shown: readonly Budget[], id: string, bytes: number): LoadOptions {
  const expertDevices = asExpertDevices(shown.map((budget) => (budget.id === id ? { ...budget, bytes } : budget)));
  return { ...options, expertDevices, expertRamBytes: options.expertRamBytes || undefined };
}
