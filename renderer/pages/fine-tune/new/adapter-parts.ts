// The parts of a model that can get an adapter, and why one cannot.
import type { Inspection, Recipe } from '../../../../main/contract/index.ts';

type Adapter = Recipe['adapter'];
export type Part = 'attention' | 'ffn' | 'mixture' | 'experts' | 'shared' | 'router';
export type Lora = NonNullable<Adapter[Exclude<Part, 'mixture' | 'experts'>]>;

export const adapterParts: { part: Part; label: string; hint: string }[] = [
  { part: 'attention', label: 'Attention', hint: 'queries, keys, values and output of every layer' },
  { part: 'experts', label: 'Experts', hint: 'gate, up and down of every expert of every layer' },
  { part: 'shared', label: 'Shared experts', hint: 'the ones that every token goes through' },
  { part: 'router', label: 'Router', hint: 'which experts a token goes to; small ranks suffice' },
  { part: 'ffn', label: 'Dense FFN', hint: 'gate, up and down of layers without experts' },
  { part: 'mixture', label: 'Mixture (MixLoRA)', hint: 'makes the dense FFN a mixture of LoRA experts with a router of its own; exported as a merged model' },
];

/** What mixtures are exported as has graphs of these only (native/train/README.md). */
const MIXTURE_BASES = ['llama', 'qwen3'];

export type Shape = Pick<Inspection, 'architecture' | 'layerCount' | 'moeLayers' | 'expertCount' | 'sharedExpertCount'>;

/** null: this part of the model can be trained */
export function whyNot(part: Part, { architecture, layerCount, moeLayers, expertCount, sharedExpertCount }: Shape): string | null {
  const hasExperts = moeLayers.length > 0;
  switch (part) {
    case 'attention':
      return null;
    case 'experts':
    case 'router':
      return hasExperts ? null : 'this model has no experts';
    case 'shared':
      return sharedExpertCount > 0 ? null : 'this model has no shared experts';
    case 'ffn':
      return moeLayers.length < layerCount ? null : 'every layer of this model has experts instead';
    case 'mixture':
      if (hasExperts) return `for models without experts; this one has ${expertCount} of its own`;
      return MIXTURE_BASES.includes(architecture) ? null : `for ${MIXTURE_BASES.join(' and ')}; this is ${architecture}`;
  }
}

/** What is trained when a part is ticked. */
export const usualLora = (part: Part): Lora => (part === 'router' ? { loraRank: 4, loraAlpha: 8 } : { loraRank: 16, loraAlpha: 32 });
