// Formats: how rows are recognised, and what example each becomes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BAD_ROW_REASONS, DatasetFormat } from '../../../main/contract/datasets.ts';
import { Example } from '../../../main/training/data/example.ts';
import { toExample } from '../../../main/training/data/formats/convert.ts';
import { detectFormat } from '../../../main/training/data/formats/detect.ts';
import { planFile } from '../../../main/training/data/plan.ts';
import { BadRow } from '../../../main/training/data/problem.ts';
import { openDataFile } from '../../../main/training/data/readers/open.ts';

const data = (name: string) => join(import.meta.dirname, '../../data/datasets', name);
const rows = (...values: unknown[]) => values.map((value, index) => ({ place: index + 1, offset: null, value }));
const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

/** Examples and warnings of all rows of a file, in its own format. */
async function examplesOf(name: string) {
  const { data: file, format, map } = await planFile(data(name), {});
  const converted = [];
  for await (const batch of file.rows()) converted.push(...batch.map(({ value }) => toExample(format, map, value)));
  for (const { example } of converted) Example.parse(example);
  return converted;
}

describe('detection', () => {
  it('knows every format by its fields', () => {
    const found = (value: unknown) => detectFormat(rows(value, value));
    expect(found({ instruction: 'a', input: '', output: 'b' })).toMatchObject({ format: 'alpaca', map: {}, confidence: 1 });
    expect(found({ conversations: [{ from: 'human', value: 'a' }] })).toMatchObject({ format: 'sharegpt', map: {} });
    expect(found({ messages: [user('a')], prompt: 'a' })).toMatchObject({ format: 'messages', map: {} });
    expect(found({ conversation: [user('a')] })).toMatchObject({ format: 'messages', map: { messages: 'conversation' } });
    expect(found({ messages: JSON.stringify([user('a')]) })).toMatchObject({ format: 'messages' });
    expect(found({ prompt: 'a', completion: 'b' })).toMatchObject({ format: 'prompt-completion' });
    expect(found({ prompt: 'a', chosen: 'b', rejected: 'c' })).toMatchObject({ format: 'preference' });
    expect(found({ text: 'a' })).toMatchObject({ format: 'text', why: '2 of the first 2 rows have text' });
  });

  it('is unsure of other names, and says what they may be', () => {
    expect(detectFormat(rows({ question: 'a', answer: 'b' }))).toEqual({
      format: null,
      fields: [
        { name: 'question', types: ['string'], rows: 1 },
        { name: 'answer', types: ['string'], rows: 1 },
      ],
      suggestions: [{ format: 'prompt-completion', map: { prompt: 'question', completion: 'answer' } }],
    });
    expect(detectFormat(rows({ instruction: 'a', context: 'b', Response: 'c' }))).toMatchObject({
      suggestions: [{ format: 'alpaca', map: { input: 'context', output: 'Response' } }, { format: 'prompt-completion' }],
    });
    expect(detectFormat(rows({ a: 1 }, 5, null))).toMatchObject({ format: null, suggestions: [] });
  });

  it('is unsure where rows are of several formats, and sure where a few are broken', () => {
    expect(detectFormat(rows({ text: 'a' }, { text: 'b' }, { text: 'c' }, { prompt: 'a', completion: 'b' })).format).toBeNull();
    expect(detectFormat(rows({ text: 'a' }, { text: 'b' }, { text: 5 }))).toMatchObject({ format: 'text', confidence: 2 / 3 });
  });
});

describe('the plan of a file', () => {
  it('takes what the user says before what it sees', async () => {
    const csv = data('questions.csv');
    await expect(planFile(csv, {})).rejects.toMatchObject({
      code: 'dataset.format-unsure',
      message: expect.stringContaining('--format prompt-completion --map prompt=question,completion=answer'),
    });
    expect(await planFile(csv, { map: { prompt: 'question', completion: 'answer' } })).toMatchObject({ format: 'prompt-completion', confidence: null });
    expect(await planFile(csv, { format: 'text', map: { text: 'answer' } })).toMatchObject({ format: 'text', map: { text: 'answer' } });
    await expect(planFile(csv, { format: 'text', map: { prompt: 'answer' } })).rejects.toThrow('The format text has no prompt');
    await expect(planFile(csv, { map: { system: 'answer' } })).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(planFile(data('../xss.txt'), { format: 'alpaca' })).rejects.toMatchObject({ code: 'request.invalid' });
  });
});

describe('examples', () => {
  it('of alpaca join instruction and input by an empty line', async () => {
    const [{ example } = { example: null }] = await examplesOf('pig-latin.jsonl');
    expect(example).toEqual({ kind: 'conversation', messages: [user('Say it in pig latin.\n\nstar'), assistant('arstay')] });
    expect(toExample('alpaca', {}, { instruction: 'Hi', input: ' ', output: 'Ho', system: 'Be nice.' }).example).toEqual({
      kind: 'conversation',
      messages: [{ role: 'system', content: 'Be nice.' }, user('Hi'), assistant('Ho')],
    });
    expect(toExample('alpaca', { instruction: 'q', output: 'a' }, { q: 'Hi', a: 'Ho' }).example).toMatchObject({ messages: [user('Hi'), assistant('Ho')] });
  });

  it('of OpenAI messages keep tools, calls, weights, parts of content and reasoning', async () => {
    const converted = await examplesOf('openai-tools.jsonl');
    expect(converted.flatMap(({ warnings }) => warnings)).toEqual([]);
    const examples = converted.map(({ example }) => example);
    const tools = [{ name: 'weather', description: 'Looks out of the window', parameters: expect.objectContaining({ type: 'object' }) }];
    const toolCalls = [{ id: 'call_a', name: 'weather', arguments: '{"city":"Ulm"}' }];
    expect(examples[0]).toEqual({
      kind: 'conversation',
      messages: [
        { role: 'system', content: 'You may look out of the window.' },
        user('Weather in Ulm?'),
        { role: 'assistant', content: '', toolCalls },
        { role: 'tool', content: 'rain', toolCallId: 'call_a' },
        assistant('It rains in Ulm.'),
      ],
      tools,
    });
    expect(examples[1]).toMatchObject({ messages: [user('Weather in Ulm?'), { toolCalls }], tools });
    expect(examples[2]).toMatchObject({ ignored: [1] });
    expect(examples[3]).toMatchObject({ messages: [user('Say yes'), { content: 'yes', reasoningContent: 'They want a yes.' }] });
  });

  it('of ShareGPT know its roles, and pair calls without ids by order', async () => {
    const converted = await examplesOf('sharegpt.json');
    expect(converted[1]?.example).toMatchObject({
      messages: [{ role: 'system', content: 'Be short.' }, user('2+2?'), assistant('4'), user('3+3?'), assistant('6')],
    });
    expect(converted[2]).toMatchObject({
      example: {
        messages: [
          user('Weather in Ulm?'),
          { toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Ulm"}' }] },
          { role: 'tool', toolCallId: 'call_1' },
          assistant('Rain.'),
        ],
      },
      warnings: ['tool-call.no-id', 'tool-call.object-arguments'],
    });
  });

  it('of preferences part what both replies answer from the replies', async () => {
    const examples = (await examplesOf('preferences.jsonl')).map(({ example }) => example);
    const pair = (rejected: string) => ({ kind: 'preference', prompt: [user('Say hello.')], chosen: [assistant('Hello!')], rejected: [assistant(rejected)] });
    expect(examples.slice(0, 3)).toEqual([pair('No.'), pair('Bye.'), pair('No!')]);
    expect(examples[3]).toMatchObject({ prompt: [user('One?'), assistant('1'), user('Two?')], chosen: [assistant('2')], rejected: [assistant('3')] });
  });

  it('of prompt and completion may be messages', () => {
    expect(toExample('prompt-completion', {}, { prompt: [user('Hi')], completion: [assistant('Ho')] }).example).toMatchObject({
      messages: [user('Hi'), assistant('Ho')],
    });
  });

  it('are mended where chat would mend them, and that is told', () => {
    const mended = (...messages: object[]) => toExample('messages', {}, { messages });
    expect(mended(user('a'), user('b'), assistant('c'))).toMatchObject({ example: { messages: [user('a\n\nb'), assistant('c')] }, warnings: ['turns.joined'] });
    expect(mended(user('a'), assistant('c'), user('b'))).toMatchObject({ example: { messages: [user('a'), assistant('c')] }, warnings: ['turns.unanswered'] });
    expect(mended({ role: 'system', content: ' ' }, user('a'), assistant('c'))).toMatchObject({
      example: { messages: [user('a'), assistant('c')] },
      warnings: ['content.empty-system'],
    });
    expect(mended(user('a'), assistant('b'), assistant('c')).warnings).toEqual(['turns.replies-in-a-row']);
    expect(mended(user('a'), { role: 'system', content: 'x' }, assistant('c')).warnings).toEqual(['turns.late-system']);
    const call = { role: 'assistant', tool_calls: [{ id: '1', function: { name: 'f', arguments: '{}' } }] };
    expect(mended(user('a'), call).warnings).toEqual(['tool-call.undefined-tool']);
  });
});

describe('bad rows', () => {
  const expected: { file: string; place: number; reason: string; why: string }[] = JSON.parse(readFileSync(data('bad/expected.json'), 'utf8'));

  it.each([...new Set(expected.map(({ file }) => file))])('of %s are bad for the reason that they are there for', async (name) => {
    const format = DatasetFormat.parse(name.replace('.jsonl', ''));
    const found: object[] = [];
    for await (const batch of (await openDataFile(data(`bad/${name}`))).rows()) {
      for (const { place, value, problem } of batch) {
        let reason: string = problem?.reason ?? 'none';
        try {
          if (!problem) toExample(format, {}, value);
        } catch (error) {
          if (!(error instanceof BadRow)) throw error;
          reason = error.reason;
          expect(error.message.length).toBeGreaterThan(9);
        }
        found.push({ place, reason });
      }
    }
    const wanted = expected.filter(({ file }) => file === name).map(({ place, reason }) => ({ place, reason }));
    expect(found).toEqual(wanted);
  });

  it('are there for every reason that a row by itself can have', () => {
    const elsewhere = ['row.too-long', 'row.not-utf8', 'row.columns', 'row.not-csv', 'row.unreadable', 'template.failed', 'tokens.failed'];
    expect([...new Set([...expected.map(({ reason }) => reason), ...elsewhere])].sort()).toEqual(Object.keys(BAD_ROW_REASONS).sort());
  });
});
