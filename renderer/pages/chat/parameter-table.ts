// Every number that sampling knows, in groups, with llama.cpp's defaults.
import type { Sampling } from '../../../main/contract/index.ts';

type NumberKey = { [Key in keyof Sampling]-?: NonNullable<Sampling[Key]> extends number ? Key : never }[keyof Sampling];

export interface NumberParameter {
  key: NumberKey;
  label: string;
  hint: string;
  /** ends of the slider; the field beside it takes what the contract takes */
  min: number;
  max: number;
  step: number;
  /** ends of the field, where they are wider */
  hardMin?: number;
  hardMax?: number;
  /** llama.cpp's */
  standard: number;
}

export interface ParameterGroup {
  title: string;
  /** open at first */
  open: boolean;
  parameters: readonly NumberParameter[];
}

export const parameterGroups: readonly ParameterGroup[] = [
  {
    title: 'Sampling',
    open: true,
    parameters: [
      {
        key: 'temperature',
        label: 'Temperature',
        hint: 'Higher is more varied; 0 always takes the likeliest token.',
        min: 0,
        max: 2,
        step: 0.05,
        hardMax: 10,
        standard: 0.8,
      },
      { key: 'topK', label: 'Top K', hint: 'Only the K likeliest tokens; 0 is off.', min: 0, max: 200, step: 1, hardMax: 1_000_000, standard: 40 },
      { key: 'topP', label: 'Top P', hint: 'The likeliest tokens that together reach P; 1 is off.', min: 0, max: 1, step: 0.01, standard: 0.95 },
      { key: 'minP', label: 'Min P', hint: 'Tokens at least this share as likely as the likeliest; 0 is off.', min: 0, max: 1, step: 0.01, standard: 0.05 },
      { key: 'typicalP', label: 'Typical P', hint: 'Tokens of typical information; 1 is off.', min: 0, max: 1, step: 0.01, standard: 1 },
    ],
  },
  {
    title: 'Repetition',
    open: false,
    parameters: [
      {
        key: 'repeatPenalty',
        label: 'Repeat penalty',
        hint: 'Above 1 makes repeated tokens less likely; 1 is off.',
        min: 0.8,
        max: 2,
        step: 0.01,
        hardMin: 0,
        hardMax: 10,
        standard: 1,
      },
      {
        key: 'repeatLastN',
        label: 'Repeat window',
        hint: 'Tokens looked back on; −1 is the whole context, 0 is off.',
        min: -1,
        max: 2048,
        step: 1,
        hardMax: 1_000_000,
        standard: 64,
      },
      { key: 'presencePenalty', label: 'Presence penalty', hint: 'Against tokens that occurred at all.', min: -2, max: 2, step: 0.05, standard: 0 },
      { key: 'frequencyPenalty', label: 'Frequency penalty', hint: 'Against tokens by how often they occurred.', min: -2, max: 2, step: 0.05, standard: 0 },
    ],
  },
  {
    title: 'DRY (repeated sequences)',
    open: false,
    parameters: [
      { key: 'dryMultiplier', label: 'Multiplier', hint: 'Strength; 0 is off.', min: 0, max: 4, step: 0.05, hardMax: 100, standard: 0 },
      { key: 'dryBase', label: 'Base', hint: 'How fast it grows with the length of the repetition.', min: 1, max: 4, step: 0.05, hardMax: 100, standard: 1.75 },
      {
        key: 'dryAllowedLength',
        label: 'Allowed length',
        hint: 'Repetitions of up to this many tokens are free.',
        min: 0,
        max: 20,
        step: 1,
        hardMax: 1_000_000,
        standard: 2,
      },
      {
        key: 'dryPenaltyLastN',
        label: 'Window',
        hint: 'Tokens looked back on; −1 is the whole context.',
        min: -1,
        max: 4096,
        step: 1,
        hardMax: 1_000_000,
        standard: -1,
      },
    ],
  },
  {
    title: 'Mirostat (steady surprise)',
    open: false,
    parameters: [
      { key: 'mirostat', label: 'Version', hint: '0 is off; 1 and 2 take the place of top K, P and typical P.', min: 0, max: 2, step: 1, standard: 0 },
      { key: 'mirostatTau', label: 'Tau', hint: 'The surprise to hold, in bits.', min: 0, max: 10, step: 0.1, hardMax: 20, standard: 5 },
      { key: 'mirostatEta', label: 'Eta', hint: 'How fast it corrects.', min: 0, max: 1, step: 0.01, standard: 0.1 },
    ],
  },
];
