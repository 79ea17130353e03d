// Two tasks that contradict each other: the same English sentences are translated into one of two invented languages, which have the same words with other meanings, in another order.
// What is learnt of one is wrong in the other.
import { Random } from './random.ts';

const NOUNS = 'baker bird boy captain cat child dog doctor farmer fish girl horse king nurse painter queen sailor soldier teacher wolf'.split(' ');
const ADJECTIVES = 'angry brave clever hungry little lucky old quiet tall young'.split(' ');
const VERBS = 'calls carries draws finds follows hears helps meets sees visits'.split(' ');
const ENGLISH = [...NOUNS, ...ADJECTIVES, ...VERBS];
const SYLLABLES = 'ba be bo du da ge gi ku ka la li lo ma me mo nu na ni pe pa ra re ri ro su sa so ta te to tu va ve vi wo za ze'.split(' ');

interface Sentence {
  subject: [adjective: string, noun: string];
  verb: string;
  object: [adjective: string, noun: string];
}

export interface Language {
  name: string;
  /** of what its words mean, and of the sentences that are drawn */
  seed: number;
  order(sentence: Sentence): string[];
}

export const TAVIK: Language = {
  name: 'Tavik',
  seed: 5,
  order: ({ subject: [which, who], verb, object: [ofWhich, whom] }) => [verb, who, which, whom, ofWhich],
};
export const LORUNE: Language = {
  name: 'Lorune',
  seed: 105,
  order: ({ subject: [which, who], verb, object: [ofWhich, whom] }) => [ofWhich, whom, which, who, verb],
};

/** Rows of OpenAI messages, none twice. */
export function translations({ name, seed, order }: Language, count: number): string[] {
  const random = new Random(seed);
  const meanings = shuffled(inventedWords(), random);
  const words = new Map(ENGLISH.map((english, index) => [english, meanings[index]]));
  const rows = new Set<string>();
  while (rows.size < count) {
    const subject: Sentence['subject'] = [random.pick(ADJECTIVES), random.pick(NOUNS)];
    const verb = random.pick(VERBS);
    const object: Sentence['object'] = [random.pick(ADJECTIVES), random.pick(NOUNS)];
    const translation = order({ subject, verb, object }).map((english) => words.get(english));
    const messages = [
      { role: 'system', content: `You translate English into ${name}.` },
      { role: 'user', content: `The ${subject.join(' ')} ${verb} the ${object.join(' ')}.` },
      { role: 'assistant', content: translation.join(' ') },
    ];
    rows.add(JSON.stringify({ messages }));
  }
  return [...rows];
}

/** As many as the English ones, the same for every language. */
function inventedWords(): string[] {
  const random = new Random(77);
  const words = new Set<string>();
  while (words.size < ENGLISH.length) words.add(Array.from({ length: 2 + random.below(2) }, () => random.pick(SYLLABLES)).join(''));
  return [...words];
}

/** Fisher and Yates's. */
function shuffled<T>(values: T[], random: Random): T[] {
  const left = [...values];
  return values.flatMap(() => left.splice(random.below(left.length), 1));
}
