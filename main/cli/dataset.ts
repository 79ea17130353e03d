// Surveys a dataset: what it is, what is wrong with it, and how the model sees it; and writes that down for the trainer.
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  DATASET_LOSSES,
  DatasetFormat,
  type DatasetLoss,
  type DatasetReport,
  FieldMap,
  type ListedBadRow,
  OVER_LONG,
  type OverLong,
  placeText,
} from '../contract/datasets.ts';
import { MoebiusError } from '../contract/index.ts';
import { type Encoded, encodeDataset, nothingLeft } from '../training/data/encoded/encode.ts';
import { type SurveyOptions, surveyDataset } from '../training/data/survey.ts';
import { surveyTokens } from '../training/data/tokeniser.ts';
import { datasetText, encodedText } from './dataset-text.ts';
import { withVocabulary } from './engine-session.ts';
import { interruptible } from './interruption.ts';
import { number, UsageError, wholeNumber } from './options.ts';
import { print, printJson, tenthsAfter } from './output.ts';

interface DatasetFlags {
  model?: string;
  tokens: boolean;
  format?: DatasetFormat;
  map?: FieldMap;
  loss: DatasetLoss;
  validation: number;
  seed: number;
  context?: number;
  preview: number;
  badRows?: string;
  encode?: string;
  maxTokens?: number;
  overLong?: OverLong;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  moebius dataset chats.jsonl                                              what is it, and is it fit for training the embedded model?
  moebius dataset faq.csv --map prompt=question,completion=answer          columns with other names
  moebius dataset a.parquet b.json --model MODEL.gguf --context 4096 --bad-rows bad.jsonl
  moebius dataset chats.jsonl --model MODEL.gguf --encode chats-encoded --max-tokens 2048       tokens and what is learnt, for the trainer`;

export function addDatasetCommand(program: Command): void {
  program
    .command('dataset')
    .description('survey training data: format, bad rows, duplicates, token lengths, the split, and examples as the model sees them')
    .argument('<files...>', 'JSONL, JSON, CSV, TSV, Parquet or plain text; several are taken as one dataset')
    .option('-m, --model <file>', 'GGUF file whose chat template and tokens are used (default: the embedded tiny-moe)')
    .option('--no-tokens', 'only read and check: no model, no lengths, no preview')
    .addOption(new Option('--format <format>', 'format of the rows (default: as they look)').choices(DatasetFormat.options))
    .option('--map <field=column,...>', 'which columns the fields of the format are: instruction=question,output=answer', fieldMap)
    .addOption(
      new Option('--loss <what>', 'learn all replies of a conversation, its last one, or all tokens, prompts too')
        .choices(DATASET_LOSSES)
        .default('replies' satisfies DatasetLoss),
    )
    .option('--validation <share>', 'share of the examples for validation', share, 0.05)
    .option('-s, --seed <n>', 'seed of the split', wholeNumber, 1)
    .option('-c, --context <tokens>', "count the examples longer than this (default: the model's context)", positive)
    .option('--preview <n>', 'examples to show as the model sees them', wholeNumber, 3)
    .option('--bad-rows <file>', 'write every bad row with its reason to this file, JSON lines')
    .option('--encode <folder>', 'write the tokens of all good examples, and which are learnt, for the trainer: a new folder, or one of an encoded dataset')
    .option('--max-tokens <n>', 'with --encode: most tokens of an example, of each reply of a pair (default: no limit)', positive)
    .addOption(new Option('--over-long <what>', 'with --max-tokens: what happens to longer ones (default: cut)').choices(OVER_LONG))
    .option('--json', 'one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(dataset);
}

export function fieldMap(text: string): FieldMap {
  const entries = text.split(',').map((part) => {
    const at = part.indexOf('=');
    if (at < 1 || at === part.length - 1) throw new InvalidArgumentError('it takes FIELD=COLUMN, several separated by commas.');
    return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
  });
  return FieldMap.parse(Object.fromEntries(entries));
}

function share(text: string): number {
  const value = number(text);
  if (value < 0 || value >= 1) throw new InvalidArgumentError('it takes a share from 0 to below 1, as 0.05.');
  return value;
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError('it must be 1 or more.');
  return value;
}

async function dataset(files: string[], flags: DatasetFlags): Promise<void> {
  if (!flags.tokens && flags.model !== undefined) throw new UsageError('Give --model or --no-tokens, not both.');
  if (!flags.tokens && flags.encode !== undefined) throw new UsageError('Give --encode or --no-tokens, not both.');
  if (flags.encode === undefined && flags.maxTokens !== undefined) throw new UsageError('--max-tokens needs --encode.');
  if (flags.maxTokens === undefined && flags.overLong !== undefined) throw new UsageError('--over-long needs --max-tokens.');
  const badRows = flags.badRows === undefined ? null : new BadRowFile(flags.badRows, files);
  try {
    await badRows?.open();
    await interruptible('The survey was cancelled.', async (signal) => {
      const options = {
        files,
        format: flags.format,
        map: flags.map,
        split: { validation: flags.validation, seed: flags.seed },
        tokens: null,
        previews: flags.preview,
        onBadRow: (row: ListedBadRow) => badRows?.write(row),
        onProgress: tenthsAfter(2000),
        signal,
      };
      tell(await survey(options, flags), flags);
    });
  } finally {
    await badRows?.close();
  }
}

type Surveyed = { report: DatasetReport } & Partial<Encoded>;

function tell({ report, counts, manifest }: Surveyed, { json, encode }: DatasetFlags): void {
  const isWritten = manifest !== undefined && manifest !== null;
  if (json) printJson(counts ? { ...report, encoded: { ...counts, folder: isWritten ? encode : null } } : report);
  else print(datasetText(report));
  if (report.good === 0) throw noGoodRow(report);
  if (counts && !isWritten) throw nothingLeft(report, counts);
  if (counts && encode !== undefined && !json) print(`\n${encodedText(counts, encode)}`);
}

async function survey(options: SurveyOptions, flags: DatasetFlags): Promise<Surveyed> {
  if (!flags.tokens) return { report: await surveyDataset(options) };
  return withVocabulary(flags.model, async (engine, loaded) => {
    const tokens = { ...surveyTokens(engine, loaded, flags.loss), ...(flags.context !== undefined && { context: flags.context }) };
    if (flags.encode === undefined) return { report: await surveyDataset({ ...options, tokens }) };
    const { encode: folder, maxTokens = null, overLong = 'cut' } = flags;
    return encodeDataset({ ...options, tokens, folder, maxTokens, overLong, model: loaded, llamaVersion: engine.status.llamaVersion });
  });
}

function noGoodRow(report: DatasetReport): MoebiusError {
  const [most] = report.badRows.reasons;
  const [row] = report.badRows.listed;
  const message =
    most && row
      ? `None of the ${report.rows} rows can be learnt; most often: ${most.text} (${most.count}). The first: ${placeText(report.files, row)}: ${row.detail}.`
      : 'There are no rows in it.';
  return new MoebiusError('dataset.no-good-row', message, { details: { rows: report.rows } });
}

class BadRowFile {
  readonly #path: string;
  readonly #files: string[];
  #stream: WriteStream | null = null;
  #failure: MoebiusError | null = null;

  constructor(path: string, files: string[]) {
    this.#path = path;
    this.#files = files;
  }

  /** Throws file.unwritable. */
  async open(): Promise<void> {
    if (this.#files.some((file) => resolve(file) === resolve(this.#path))) throw new UsageError('--bad-rows names a file of the dataset.');
    const stream = createWriteStream(this.#path);
    stream.on('error', (error) => {
      this.#failure ??= new MoebiusError('file.unwritable', `${this.#path} cannot be written: ${error.message}.`, {
        details: { path: this.#path },
        cause: error,
      });
    });
    await settled(stream, 'open');
    if (this.#failure) throw this.#failure;
    this.#stream = stream;
  }

  /** Throws file.unwritable. */
  async write({ file, place, reason, detail }: ListedBadRow): Promise<void> {
    if (this.#failure) throw this.#failure;
    const line = `${JSON.stringify({ file: this.#files[file], place, reason, detail })}\n`;
    if (this.#stream?.write(line) === false) await settled(this.#stream, 'drain');
  }

  /** Throws file.unwritable when not all of it could be written. */
  async close(): Promise<void> {
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null) return;
    stream.end();
    if (!stream.closed) await once(stream, 'close').catch(() => {}); // an error is kept
    if (this.#failure) throw this.#failure;
  }
}

/** Waits for the event, or an error, which is kept by its listener. */
async function settled(stream: WriteStream, event: 'open' | 'drain'): Promise<void> {
  if (!stream.destroyed) await once(stream, event).catch(() => {});
}
