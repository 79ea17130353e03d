// The parts of a model that can get an adapter or be trained whole, and why one cannot.
import type { Inspection, Recipe } from '../../../../main/contract/index.ts';
import { format } from '../../../components/index.ts';

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

/** Trained in place of an adapter: their own weights. */
export type WholePart = 'wholeRouter' | 'wholeNorms' | 'wholeEmbedding' | 'wholeHead';
export const wholeParts: { part: WholePart; label: string; name: string }[] = [
  { part: 'wholeRouter', label: 'Router', name: 'whole routers' },
  { part: 'wholeNorms', label: 'Norms', name: 'norms' },
  { part: 'wholeEmbedding', label: 'Embedding', name: 'embedding' },
  { part: 'wholeHead', label: 'Head', name: 'head' },
];

export type WholeShape = Pick<Inspection, 'moeLayers' | 'vocabularySize' | 'embeddingLength' | 'quantisation'>;
const hasOwnHead = ({ quantisation }: WholeShape) => quantisation.some(({ tensorClass }) => tensorClass === 'output');

/** null: this part of the model can be trained whole */
export function whyNotWhole(part: WholePart, shape: WholeShape): string | null {
  if (part === 'wholeRouter' && shape.moeLayers.length === 0) return 'this model has no experts';
  if (part === 'wholeHead' && !hasOwnHead(shape)) return 'this model’s head is its embedding, one matrix for both';
  return null;
}

/** What it is and what it comes to; shape null: not known yet. */
export function wholeHint(part: WholePart, shape: WholeShape | null): string {
  if (part === 'wholeRouter') return 'in place of an adapter of it';
  if (part === 'wholeNorms') return 'of every layer, and the last one';
  const numbers = shape ? `${format.count(shape.vocabularySize * shape.embeddingLength)} numbers, each with its gradient and moments` : 'a row for every token';
  return part === 'wholeEmbedding' && shape && !hasOwnHead(shape) ? `the head, too, which is the same matrix: ${numbers}` : numbers;
}
