// Names of split models, as llama.cpp writes them: `<stem>-00001-of-00003.gguf`, counted from 1.

export interface SplitName {
  stem: string;
  /** from 1 */
  part: number;
  count: number;
}

const pattern = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

/** null for a model in one file. `name` may have folders in front. */
export function parseSplitName(name: string): SplitName | null {
  const match = pattern.exec(name);
  if (!match) return null;
  const [, stem = '', part = '', count = ''] = match;
  const split = { stem, part: Number(part), count: Number(count) };
  return split.count >= 1 && split.part >= 1 && split.part <= split.count ? split : null;
}

function partName(stem: string, part: number, count: number): string {
  return `${stem}-${String(part).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`;
}

/** Every file of the model that `name` is (a part of), in order; the first one stands for the model. */
export function partNames(name: string): string[] {
  const split = parseSplitName(name);
  if (!split) return [name];
  return Array.from({ length: split.count }, (_, index) => (index + 1 === split.part ? name : partName(split.stem, index + 1, split.count)));
}

/** The name without `.gguf` and without the part's number. */
export function modelStem(name: string): string {
  return parseSplitName(name)?.stem ?? name.replace(/\.gguf$/i, '');
}
