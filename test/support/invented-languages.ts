// Two tasks that have nothing but their question in common: the same English sentences, translated into one of two languages that do not exist. What is learnt of one is of no use for the other.
import { Random } from './random.ts';

const NOUNS = 'baker bird boy captain cat child dog doctor farmer fish girl horse king nurse painter queen sailor soldier teacher wolf'.split(' ');
const ADJECTIVES = 'angry brave clever hungry little lucky old quiet tall young'.split(' ');
const VERBS = 'calls carries draws finds follows hears helps meets sees visits'.split(' ');

interface Sentence {
  subject: [adjective: string, noun: string];
  verb: string;
  object: [adjective: string, noun: string];
}

export interface Language {
  name: string;
  syllables: string[];
  /** words in its order, which is not the other's */
  order(sentence: Sentence): string[];
}

export const TAVIK: Language = {
  name: 'Tavik',
  syllables: 'ta vi ko ze ma lu sha ri no be'.split(' '),
  order: ({ subject: [which, who], verb, object: [ofWhich, whom] }) => [verb, who, which, whom, ofWhich],
};
export const LORUNE: Language = {
  name: 'Lorune',
  syllables: 'lor une fa gi mo pel du sa we th'.split(' '),
  order: ({ subject: [which, who], verb, object: [ofWhich, whom] }) => [ofWhich, whom, which, who, verb],
};

/** Rows of OpenAI messages, none twice: a language's words, and which sentences, are drawn by the seed. */
export function translations({ name, syllables, order }: Language, count: number, seed: number): string[] {
  const random = new Random(seed);
  const words = invented(random, syllables);
  const drawn = new Set<string>();
  while (drawn.size < count) {
    const noun = (): [string, string] => [random.pick(ADJECTIVES), random.pick(NOUNS)];
    const sentence = { subject: noun(), verb: random.pick(VERBS), object: noun() };
    const english = `The ${sentence.subject.join(' ')} ${sentence.verb} the ${sentence.object.join(' ')}.`;
    const messages = [
      { role: 'system', content: `You translate English into ${name}.` },
      { role: 'user', content: english },
      {
        role: 'assistant',
        content: order(sentence)
          .map((word) => words.get(word))
          .join(' '),
      },
    ];
    drawn.add(JSON.stringify({ messages }));
  }
  return [...drawn];
}

/** A word of two or three syllables for each English one. */
function invented(random: Random, syllables: string[]): Map<string, string> {
  const taken = new Set<string>();
  const words = [...NOUNS, ...ADJECTIVES, ...VERBS];
  while (taken.size < words.length) taken.add(Array.from({ length: 2 + random.below(2) }, () => random.pick(syllables)).join(''));
  const all = [...taken];
  return new Map(words.map((word, index) => [word, all[index] ?? '']));
}
