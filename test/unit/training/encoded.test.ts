// The encoded dataset on real files, with a double of the engine and of a full disk.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExampleInput } from '../../../main/engine/protocol.ts';
import { type DownloadDisk, realDisk } from '../../../main/library/downloads/partial-file.ts';
import { type EncodeOptions, encodeDataset, encodedDataset } from '../../../main/training/data/encoded/encode.ts';
import { fitExample, recordOf, sharedPrompt } from '../../../main/training/data/encoded/record.ts';
import { ExampleEncoder } from '../../../main/training/data/encoder.ts';
import { readPart } from '../../support/encoded.ts';
import { EngineDouble, loadedModel } from '../../support/engine-double.ts';

const parent = mkdtempSync(join(tmpdir(), 'moebius-encoded-'));
const source = join(parent, 'rows.jsonl');
const folder = join(parent, 'encoded');
const modelFile = join(parent, 'model.gguf');
afterAll(() => rmSync(parent, { recursive: true, force: true }));

let double: EngineDouble;
beforeEach(() => {
  for (const name of readdirSync(parent)) rmSync(join(parent, name), { recursive: true });
  writeFileSync(modelFile, 'a model');
  writeRows(['first', 'second one', 'third', 'x', 'fifth of them']);
  double = new EngineDouble({ 'examples.encode': ({ examples }) => ({ examples: (examples as ExampleInput[]).map(encode) }) });
});

const writeRows = (texts: string[]) => writeFileSync(source, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''));

/** A token a character, all of them learnt; of a chat the last message. */
function encode(example: ExampleInput) {
  const contents = 'text' in example ? [example.text] : example.chat.messages.map(({ content }) => content);
  const tokens = [...contents.join('')].map((letter) => letter.codePointAt(0) ?? 0);
  const begin = 'text' in example ? 0 : tokens.length - (contents.at(-1)?.length ?? 0);
  const supervised: [number, number][] = [[begin, tokens.length]];
  return { tokenCount: tokens.length, supervisedCount: tokens.length - begin, supervised, unended: false, crossing: false, hidden: false, tokens };
}

function options(changes: Partial<EncodeOptions> = {}): EncodeOptions {
  const inspection = { ...loadedModel().inspection, vocabularySize: 300, chatTemplate: 'a template' };
  return {
    files: [source],
    split: { validation: 0, seed: 1 },
    tokens: { encoder: new ExampleEncoder(double, 3, 'replies'), model: modelFile, loss: 'replies', context: 100 },
    previews: 0,
    folder,
    maxTokens: null,
    overLong: 'cut',
    model: loadedModel({ path: modelFile, inspection }),
    llamaVersion: '1',
    ...changes,
  };
}

const textOf = (tokens: number[]) => String.fromCodePoint(...tokens);
const textsOf = (part: 'train' | 'validation' = 'train') =>
  readPart(folder, part).map(({ sequences }) => sequences.map(({ tokens }) => textOf(tokens)).join('|'));
const leftBeside = () => readdirSync(parent).filter((name) => name.startsWith('encoded.'));

describe('an encoded example', () => {
  const encoded = (text: string, ...supervised: [number, number][]) => ({ ...encode({ text }), supervised });
  const limit = (maxTokens: number | null, overLong: 'cut' | 'leave-out' = 'cut') => ({ maxTokens, overLong });

  it('learns no first token: nothing predicts it', () => {
    expect(fitExample([encoded('abcdef', [0, 2], [4, 6])], limit(null))).toMatchObject({ sequences: [{ targets: [1, 4, 5] }], isCut: false });
    expect(fitExample([encoded('a', [0, 1])], limit(null))).toBe('nothingToLearn');
  });

  it('is cut or left out when it is too long', () => {
    expect(fitExample([encoded('abcdef', [2, 6])], limit(6))).toMatchObject({ isCut: false });
    expect(fitExample([encoded('abcdef', [2, 6])], limit(4))).toMatchObject({ sequences: [{ tokens: [97, 98, 99, 100], targets: [2, 3] }], isCut: true });
    expect(fitExample([encoded('abcdef', [4, 6])], limit(4))).toBe('nothingToLearn');
    expect(fitExample([encoded('abcdef', [2, 6])], limit(5, 'leave-out'))).toBe('overLong');
  });

  it('of a pair has the prompt that both have and neither learns', () => {
    const [chosen, rejected] = [encoded('promptyes', [6, 9]), encoded('promptyet', [6, 9])];
    const fitted = fitExample([chosen, rejected], limit(null));
    if (typeof fitted === 'string') throw new Error(fitted);
    const [first, second] = fitted.sequences;
    expect(first && second && sharedPrompt(first, second)).toBe(6);
    expect(fitExample([chosen, rejected], limit(8))).toBe('nothingToLearn'); // equal so far
    expect(fitExample([chosen, encoded('promptno', [6, 8])], limit(8))).toMatchObject({ isCut: true });
    expect(fitExample([chosen, encoded('promptno', [6, 8])], limit(6))).toBe('nothingToLearn');
  });

  it('is tokens and bits, in whole words', () => {
    const record = recordOf([{ tokens: [1, 258, 3], targets: [1, 2] }]);
    expect([...record]).toEqual([1, 0, 0, 0, 2, 1, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0]);
    const long = recordOf([{ tokens: Array.from({ length: 33 }, () => 7), targets: [8, 32] }]);
    expect([...long.subarray(33 * 4)]).toEqual([0, 1, 0, 0, 1, 0, 0, 0]);
  });
});

describe('an encoded dataset', () => {
  it('has every good example in the order of the rows, with its place', async () => {
    writeFileSync(source, ['{"text":"one"}', '{', '{"text":"two and more"}', '{"text":"x"}', '{"text":"three"}'].join('\n'));
    const { counts, manifest, report } = await encodeDataset(options({ maxTokens: 5 }));
    expect(textsOf()).toEqual(['one', 'two a', 'three']);
    expect(readPart(folder, 'train').map(({ row, cut }) => [row, cut])).toEqual([
      [1, false],
      [3, true],
      [5, false],
    ]);
    expect(counts).toMatchObject({ cut: 1, leftOut: { overLong: 0, nothingToLearn: 1 } });
    expect(counts.parts.train).toEqual({ examples: 3, pairs: 0, tokens: 13, targets: 10, longest: 5, exampleBytes: 13 * 4 + 12, indexBytes: 144 });
    expect(report).toMatchObject({ good: 4, bad: 1 });
    expect(JSON.parse(readFileSync(join(folder, 'dataset.json'), 'utf8'))).toEqual(manifest);
    expect(manifest?.key).toMatchObject({
      sources: [{ path: source, format: 'text' }],
      model: { files: [{ path: modelFile, bytes: 7 }], vocabularySize: 300 },
      maxTokens: 5,
    });
  });

  it('keeps the order and the split of many batches', async () => {
    const texts = Array.from({ length: 1000 }, (_, index) => `row ${index}`);
    writeRows(texts);
    const { report } = await encodeDataset(options({ split: { validation: 0.2, seed: 3 } }));
    const [train, validation] = [textsOf('train'), textsOf('validation')];
    expect([train.length, validation.length]).toEqual([report.split.train, report.split.validation]);
    expect(texts.filter((text) => train.includes(text))).toEqual(train);
    expect(texts.filter((text) => validation.includes(text))).toEqual(validation);
  });

  it('keeps pairs together', async () => {
    writeFileSync(source, `${JSON.stringify({ prompt: 'How? ', chosen: 'So.', rejected: 'No way.' })}\n`);
    await encodeDataset(options());
    expect(textsOf()).toEqual(['How? So.|How? No way.']);
    expect(readPart(folder, 'train')[0]).toMatchObject({ prompt: 5, sequences: [{ learnt: [5, 6, 7] }, { learnt: [5, 6, 7, 8, 9, 10, 11] }] });
  });

  it('leaves nothing behind when nothing is left for training', async () => {
    const { manifest } = await encodeDataset(options({ maxTokens: 3, overLong: 'leave-out' }));
    expect(manifest).toBeNull();
    await expect(encodedDataset(options({ maxTokens: 3, overLong: 'leave-out' }))).rejects.toMatchObject({
      code: 'dataset.no-good-row',
      message: expect.stringContaining('4 have more tokens than may be, 1 have nothing to learn'),
    });
    expect([existsSync(folder), leftBeside()]).toEqual([false, []]);
  });

  it('goes to a folder that is new, empty, or of an encoded dataset', async () => {
    mkdirSync(folder);
    await encodeDataset(options());
    writeRows(['other', 'rows']);
    await encodeDataset(options());
    expect(textsOf()).toEqual(['other', 'rows']);
    rmSync(join(folder, 'dataset.json'));
    await expect(encodeDataset(options())).rejects.toMatchObject({ code: 'request.invalid', message: expect.stringContaining('train.examples') });
    await expect(encodeDataset(options({ folder: source }))).rejects.toMatchObject({ code: 'file.unwritable' });
    expect(leftBeside()).toEqual([]);
  });

  it('removes what dead processes left, and not what others write', async () => {
    mkdirSync(join(parent, 'encoded.writing-999999999-a'));
    mkdirSync(join(parent, `encoded.writing-${process.ppid}-a`));
    await encodeDataset(options());
    expect(leftBeside()).toEqual([`encoded.writing-${process.ppid}-a`]);
  });

  it('stops when it is cancelled', async () => {
    const stop = new AbortController();
    double.answers['examples.encode'] = ({ examples }) => {
      stop.abort(new Error('enough'));
      return { examples: (examples as ExampleInput[]).map(encode) };
    };
    await expect(encodeDataset(options({ signal: stop.signal }))).rejects.toThrow('enough');
    expect([existsSync(folder), leftBeside()]).toEqual([false, []]);
  });
});

describe('a full disk', () => {
  /** Takes `room` bytes in all, then is full. */
  function smallDisk(room: number): DownloadDisk {
    let left = room;
    return {
      async open(file, flags, mode) {
        const handle = await realDisk.open(file, flags, mode);
        const write = handle.write.bind(handle);
        Object.assign(handle, {
          write: (bytes: Buffer, offset: number, length: number, position: number) => {
            if (left === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
            const part = Math.min(left, length);
            left -= part;
            return write(bytes, offset, part, position);
          },
        });
        return handle;
      },
      freeBytes: async () => 123,
    };
  }

  it('is told with what is needed, and what was there stays', async () => {
    await encodeDataset(options());
    writeRows(Array.from({ length: 300 }, (_, index) => `${index} `.repeat(5000)));
    const whole = await encodeDataset(options({ folder: join(parent, 'whole') }));
    const needed = whole.counts.parts.train.exampleBytes + whole.counts.parts.train.indexBytes;
    const failure = await encodeDataset(options({ disk: smallDisk(needed / 2) })).catch((error) => error);
    expect(failure).toMatchObject({ code: 'disk.full', details: { folder: parent, freeBytes: 123 }, message: expect.stringContaining('123 bytes are free') });
    expect(failure.details.neededBytes).toBeGreaterThan(needed / 2);
    expect(failure.details.neededBytes).toBeLessThan(needed * 1.5);
    expect(textsOf()).toEqual(['first', 'second one', 'third', 'fifth of them']);
    expect(leftBeside()).toEqual([]);
  });
});

describe('an encoded dataset that is there', () => {
  const encodings = () => double.calls.filter(({ method }) => method === 'examples.encode').length;

  it('is used again by the same options', async () => {
    const written = await encodedDataset(options());
    const before = encodings();
    expect(await encodedDataset(options())).toEqual(written);
    expect(encodings()).toBe(before);
  });

  it.each<[string, (all: EncodeOptions) => Partial<EncodeOptions>]>([
    ['the seed', () => ({ split: { validation: 0, seed: 2 } })],
    ['the share for validation', () => ({ split: { validation: 0.01, seed: 1 } })],
    ['what is learnt', ({ tokens }) => ({ tokens: { ...tokens, loss: 'all' } })],
    ['the most tokens', () => ({ maxTokens: 9 })],
    ['what happens to longer ones', () => ({ overLong: 'leave-out' })],
    ['the version of llama.cpp', () => ({ llamaVersion: '2' })],
    ['the chat template', ({ model }) => ({ model: { ...model, inspection: { ...model.inspection, chatTemplate: 'another' } } })],
    ['the format', () => ({ format: 'text', map: { text: 'text' }, files: [source, source] })],
  ])('is written anew when another is %s', async (_, change) => {
    await encodedDataset(options());
    const before = encodings();
    await encodedDataset(options(change(options())));
    expect(encodings()).toBeGreaterThan(before);
  });

  it.each<[string, () => void]>([
    ['the rows were', () => utimesSync(source, new Date(), new Date(2020, 1, 1))],
    ['the model was', () => utimesSync(modelFile, new Date(), new Date(2020, 1, 1))],
    ['its index was', () => truncateSync(join(folder, 'train.index'), 48)],
    ['its manifest was', () => writeFileSync(join(folder, 'dataset.json'), '{')],
  ])('is written anew when %s changed', async (_, change) => {
    await encodedDataset(options());
    const before = encodings();
    change();
    await encodedDataset(options());
    expect(encodings()).toBeGreaterThan(before);
    expect(textsOf()).toHaveLength(4);
  });
});
