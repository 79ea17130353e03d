// Training or validation? Each example's side follows from the seed and its content alone: the same in whatever order, file or process it is read; rows
// that are added later change no other row's side; and equal examples are on the same side, so that validation never sees what was trained on.
// The price: the validation share is met on average, not to the row.
import { hash } from 'node:crypto';

export const PARTS = ['train', 'validation'] as const;
export type PartName = (typeof PARTS)[number];

export interface Split {
  /** share of the examples for validation, 0 to 1 */
  validation: number;
  seed: number;
}

export function partOf(fingerprint: string, { validation, seed }: Split): PartName {
  const drawn = Number.parseInt(hash('sha256', `${seed} ${fingerprint}`, 'hex').slice(0, 12), 16) / 2 ** 48;
  return drawn < validation ? 'validation' : 'train';
}
