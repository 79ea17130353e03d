// What an export may be, and where it goes unless it is said.
import type { ExportFormat } from '../../../../main/contract/index.ts';

const adapterTypes = [
  { value: 'f32', label: 'F32', hint: 'exactly what was trained' },
  { value: 'f16', label: 'F16', hint: 'half the size' },
];
const mergedTypes = [
  { value: 'same', label: 'as the base has them', hint: 'untouched tensors are copied byte for byte' },
  ...['f32', 'f16', 'bf16', 'q8_0', 'q6_k', 'q5_k', 'q5_1', 'q5_0', 'q4_k', 'q4_1', 'q4_0', 'iq4_nl', 'iq4_xs', 'q3_k', 'q2_k'].map((value) => ({
    value,
    label: value.toUpperCase(),
  })),
];

export const typesOf = (format: ExportFormat): { value: string; label: string; hint?: string }[] => (format === 'merged' ? mergedTypes : adapterTypes);

const endings: Record<ExportFormat, string> = { adapter: '-lora.gguf', merged: '.gguf', peft: '-peft' };

/** `/downloads/roman-numerals-step-40-lora.gguf`: with the separator that the folder has. */
export function exportPath(folder: string, runName: string, step: number, format: ExportFormat): string {
  const separator = folder.includes('\\') && !folder.includes('/') ? '\\' : '/';
  const name = runName.replace(/[^\p{L}\p{N}.]+/gu, '-').replace(/^-+|-+$/g, '') || 'run';
  return `${folder.replace(/[\\/]+$/, '')}${separator}${name.slice(0, 80)}-step-${step}${endings[format]}`;
}
