// What a run learns: what comes next, or of two answers the better one.
import { MoebiusError } from '../../contract/errors.ts';
import type { Recipe } from '../../engine/train-protocol.ts';
import { readCounts } from '../data/encoded/read.ts';

type Objective = NonNullable<Recipe['objective']>;

/** Of an encoded dataset, unless it is said: "dpo" if all of it is pairs. Throws request.invalid of data that is partly pairs. */
export async function objectiveFor(folder: string, { objective, dpo }: Pick<Recipe, 'objective' | 'dpo'>): Promise<Objective> {
  if (objective !== undefined) return objective;
  const { train, validation } = (await readCounts(folder)).parts;
  const pairs = train.pairs + validation.pairs;
  const examples = train.examples + validation.examples;
  if (pairs > 0 && pairs < examples) {
    const message = `Of the ${examples} examples ${pairs} are preference pairs: a run learns either from pairs (DPO) or from the others. Leave the files of one kind out.`;
    throw new MoebiusError('request.invalid', message, { details: { parameter: 'data', examples, pairs } });
  }
  return pairs > 0 || dpo !== undefined ? 'dpo' : 'next-token';
}
