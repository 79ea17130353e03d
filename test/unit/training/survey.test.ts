// The survey of whole files, with a double of the engine.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DatasetLoss, DatasetReport, type ListedBadRow } from '../../../main/contract/datasets.ts';
import type { ExampleInput } from '../../../main/engine/protocol.ts';
import { ExampleEncoder } from '../../../main/training/data/encoder.ts';
import { type SurveyOptions, surveyDataset } from '../../../main/training/data/survey.ts';
import { LISTED_MOST } from '../../../main/training/data/tally.ts';
import { EngineDouble } from '../../support/engine-double.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-survey-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, ...rows: unknown[]): string {
  const path = join(folder, name);
  writeFileSync(path, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''));
  return path;
}
const texts = (...words: string[]) => words.map((text) => ({ text }));

/** A token a character; all of a text is learnt; what has "bad" in it has no template. */
function engine(delays: number[] = []): EngineDouble {
  return new EngineDouble({
    'examples.encode': async ({ examples }) => {
      await new Promise((resolve) => setTimeout(resolve, delays.shift() ?? 0));
      return {
        examples: (examples as ExampleInput[]).map((example) => {
          const content = 'text' in example ? example.text : example.chat.messages.map((message) => message.content).join('');
          if (content.includes('bad')) return { error: { code: 'template.failed', message: 'it says bad' } };
          const tokens = [...content].map((letter) => letter.codePointAt(0));
          return {
            tokenCount: tokens.length,
            supervisedCount: 1,
            supervised: [[tokens.length - 1, tokens.length]],
            unended: false,
            crossing: false,
            hidden: false,
            tokens,
          };
        }),
      };
    },
    'model.detokenize': ({ tokens }) => ({ text: String.fromCodePoint(...(tokens as number[])) }),
  });
}

function survey(files: string[], changes: Partial<SurveyOptions> = {}, double = engine(), loss: DatasetLoss = 'replies'): Promise<DatasetReport> {
  const encoder = new ExampleEncoder(double, 3, loss);
  return surveyDataset({ files, split: { validation: 0.2, seed: 1 }, tokens: { encoder, model: 'm', loss, context: 4 }, previews: 1, ...changes });
}

describe('a survey', () => {
  it('counts, lists and previews', async () => {
    const first = file('first.jsonl', ...texts('one', 'bad', 'three'), '{', ...texts('one', ''));
    const second = file('second.jsonl', ...texts('three', 'seventeen'));
    const bad: ListedBadRow[] = [];
    const report = await survey([first, second], { onBadRow: (row) => void bad.push(row) });
    expect(DatasetReport.parse(report)).toEqual(report);
    expect(report).toMatchObject({ rows: 8, good: 5, bad: 3, kinds: { conversation: 0, text: 5, preference: 0 } });
    expect(report.files.map(({ rows, bad, format }) => ({ rows, bad, format }))).toEqual([
      { rows: 6, bad: 3, format: 'text' },
      { rows: 2, bad: 0, format: 'text' },
    ]);
    expect(report.badRows.listed.map(({ file, place, reason }) => [file, place, reason])).toEqual([
      [0, 2, 'template.failed'],
      [0, 4, 'row.not-json'],
      [0, 6, 'content.empty'],
    ]);
    expect(bad).toHaveLength(3);
    expect(report.duplicates).toEqual({
      count: 2,
      incomplete: false,
      listed: [
        { file: 0, place: 5, first: { file: 0, place: 1 } },
        { file: 1, place: 1, first: { file: 0, place: 3 } },
      ],
    });
    expect(report.tokens).toMatchObject({ total: 3 + 5 + 3 + 5 + 9, supervised: 5, overContext: 3, lengths: { count: 5, p50: 5, max: 9 } });
    expect(report.warnings).toEqual([expect.objectContaining({ warning: 'tokens.over-context', count: 3, first: { file: 0, place: 3 } })]);
    expect(report.preview).toEqual([
      {
        file: 0,
        place: 1,
        texts: [
          [
            { text: 'on', supervised: false },
            { text: 'e', supervised: true },
          ],
        ],
      },
    ]);
    expect(report.split.train + report.split.validation).toBe(5);
  });

  it('is the same whichever batch the engine answers first', async () => {
    const path = file('many.jsonl', ...texts(...Array.from({ length: 300 }, (_, index) => `${index % 130}`)));
    const [slow, quick] = [await survey([path], {}, engine([30, 0, 20, 0])), await survey([path])];
    expect(slow).toEqual(quick);
    expect(slow.duplicates.count).toBe(170);
  });

  it('keeps counts exact where lists are cut', async () => {
    const report = await survey([file('broken.jsonl', ...texts('one'), ...Array.from({ length: 150 }, () => '{'))], { tokens: null, format: 'text' });
    expect(report.badRows.reasons).toEqual([expect.objectContaining({ reason: 'row.not-json', count: 150 })]);
    expect(report.badRows.listed).toHaveLength(LISTED_MOST);
    expect(report).toMatchObject({ tokens: null, preview: [], good: 1 });
  });

  it('asks for the replies that are to be learnt', async () => {
    const messages = ['user', 'assistant', 'user', 'assistant'].map((role) => ({ role, content: 'x' }));
    const path = file('chat.jsonl', { messages });
    const pair = file('pair.jsonl', { prompt: 'a', chosen: 'b', rejected: 'c' });
    const asked = async (loss: DatasetLoss) => {
      const double = engine();
      await survey([path, pair], { previews: 0 }, double, loss);
      const examples = double.calls[0]?.parameters.examples ?? [];
      return (examples as { replies?: number[] }[]).map(({ replies }) => replies); // what encode is called with
    };
    expect(await asked('replies')).toEqual([[1, 3], [1], [1]]);
    expect(await asked('last')).toEqual([[3], [1], [1]]);
    expect(await asked('all')).toEqual([undefined, undefined, undefined]);
  });

  it('ends when it is aborted, and with the error of the engine', async () => {
    const path = file('some.jsonl', ...texts('one', 'two'));
    await expect(survey([path], { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    await expect(survey([path], {}, new EngineDouble({ 'examples.encode': () => Promise.reject(new Error('died')) }))).rejects.toThrow('died');
  });
});
