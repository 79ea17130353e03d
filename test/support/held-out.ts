// What a model answers to examples that it was not trained on.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { withModel } from '../../main/cli/engine-session.ts';
import { readPart } from './encoded.ts';

export interface Question {
  /** as chat would send it */
  prompt: number[];
  answer: string;
}

const Manifest = z.object({ key: z.object({ sources: z.array(z.object({ path: z.string() })) }) });
/** the two formats of test/data/finetune */
const Row = z.union([
  z.object({ messages: z.array(z.object({ content: z.string() })) }).transform(({ messages }) => messages.at(-1)?.content ?? ''),
  z.object({ output: z.string() }).transform(({ output }) => output),
]);

/** The validation part of an encoded dataset of JSON Lines, by source file. */
export function heldOut(folder: string): Question[][] {
  const { sources } = Manifest.parse(JSON.parse(readFileSync(join(folder, 'dataset.json'), 'utf8'))).key;
  const examples = readPart(folder, 'validation');
  return sources.map(({ path }, number) => {
    const rows = readFileSync(path, 'utf8').split('\n');
    return examples
      .filter(({ file }) => file === number)
      .map(({ row, sequences: [sequence] }) => {
        if (!sequence) throw new Error('an example has no sequence');
        return { prompt: sequence.tokens.slice(0, sequence.learnt[0]), answer: Row.parse(JSON.parse(rows[row - 1] ?? '')) };
      });
  });
}

/** How many of the questions a model answers to the letter, choosing the likeliest token each time. */
export function rightAnswers(model: string, questions: Question[][]): Promise<number[]> {
  return withModel(model, { contextLength: 256, sequences: 1, telemetry: false }, async ({ generations, modelId }) => {
    const counts: number[] = [];
    for (const of of questions) {
      let right = 0;
      for (const { prompt, answer } of of) {
        const { text } = await generations.start({ modelId, input: { tokens: prompt }, sampling: { temperature: 0 }, maxTokens: 48 }, {}).done;
        if (text.trim() === answer) right++;
      }
      counts.push(right);
    }
    return counts;
  });
}
