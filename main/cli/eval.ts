// How well a model predicts: perplexity on a text or on a dataset, with or without an adapter.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DATASET_LOSSES, DatasetFormat, type DatasetLoss, type DataUse, type FieldMap, MoebiusError, type Perplexity } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';
import type { LoadedModel } from '../engine/protocol.ts';
import { dataUse } from '../training/data/encoded/format.ts';
import { encodeFor, withTokeniser } from '../training/data/tokeniser.ts';
import { evaluateExamples, evaluateText, evaluationLoad, examplePart, TEXT_CONTEXT } from '../training/evaluate/evaluate.ts';
import { LEAST_WINDOW } from '../training/evaluate/perplexity.ts';
import { fieldMap } from './dataset.ts';
import { dataUseText } from './dataset-text.ts';
import { withEngine } from './engine-session.ts';
import { interruptible } from './interruption.ts';
import { UsageError, wholeNumber } from './options.ts';
import { formatCount, print, significant } from './output.ts';
import { printResult, progressTeller, type WorkProgress } from './progress.ts';

interface EvalFlags {
  data?: string[];
  text?: string;
  adapter?: string;
  context?: number;
  threads?: number;
  format?: DatasetFormat;
  map?: FieldMap;
  loss: DatasetLoss;
  json?: boolean;
}

const NOTE = `
--text: as llama.cpp's llama-perplexity: windows of --context tokens that do not overlap, of each the second half counts; what is left at the end is not used.
--data: every token that would be learnt counts, each example by itself, cut at --context tokens (default: the model's context).`;

export function addEvalCommand(program: Command): void {
  program
    .command('eval')
    .description('perplexity of a model on a text, or on the replies of a dataset')
    .argument('<model>', 'GGUF file')
    .option('--data <files...>', 'a dataset: JSONL, JSON, CSV, TSV, Parquet or plain text')
    .option('--text <file>', 'a text file, read as one text')
    .option('--adapter <file>', 'a LoRA GGUF file for this model, switched on')
    .option('-c, --context <tokens>', `of a window (default: ${TEXT_CONTEXT}), or most of an example`, contextLength)
    .option('-t, --threads <n>', 'CPU threads (default: physical cores)', wholeNumber)
    .addOption(new Option('--format <format>', 'format of the rows (default: as they look)').choices(DatasetFormat.options))
    .option('--map <field=column,...>', 'which columns the fields of the format are', fieldMap)
    .addOption(new Option('--loss <what>', 'what counts of a conversation').choices(DATASET_LOSSES).default('replies' satisfies DatasetLoss))
    .option('--json', 'JSON lines: how far it is, and last the result')
    .addHelpText('after', NOTE)
    .action(evaluate);
}

function contextLength(text: string): number {
  const value = wholeNumber(text);
  if (value < LEAST_WINDOW) throw new InvalidArgumentError(`it must be ${LEAST_WINDOW} or more: a token is predicted from those before it.`);
  return value;
}

async function evaluate(model: string, flags: EvalFlags): Promise<void> {
  if ((flags.data === undefined) === (flags.text === undefined)) throw new UsageError('Give --data or --text.');
  const path = resolve(model);
  await interruptible('The evaluation was cancelled.', async (signal) => {
    const hooks = { signal, tell: progressTeller(flags.json === true) };
    const result = await withEngine((engine) =>
      flags.text === undefined ? evaluateData(engine, path, flags, hooks) : evaluateFile(engine, path, flags.text, flags, hooks),
    );
    if (flags.json) printResult(result);
    else print(evaluationText(result));
  });
}

function evaluationText({ perplexity, loss, targets, seconds, data }: Perplexity & { data?: DataUse }): string {
  const result = `perplexity ${significant(perplexity)}  loss ${significant(loss)} of ${formatCount(targets)} tokens, in ${significant(seconds)} s`;
  return data ? `${dataUseText(data)}\n${result}` : result;
}

const threadsOf = (threads: number | undefined) => (threads === undefined ? {} : { threads, threadsBatch: threads });

async function adaptersOf(engine: Engine, { model }: LoadedModel, file: string | undefined): Promise<number[]> {
  return file === undefined ? [] : [(await engine.call('adapter.load', { model, path: resolve(file) })).adapter];
}

interface Hooks {
  signal: AbortSignal;
  tell(progress: WorkProgress): void;
}

const evaluationHooks = ({ signal, tell }: Hooks, adapters: number[]) => ({
  signal,
  adapters,
  onProgress: (fraction: number) => tell({ what: 'evaluation', fraction }),
});

async function evaluateFile(
  engine: Engine,
  path: string,
  file: string,
  { context = TEXT_CONTEXT, threads, adapter }: EvalFlags,
  hooks: Hooks,
): Promise<Perplexity> {
  const text = await readFile(resolve(file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new MoebiusError('file.unreadable', `The text ${resolve(file)} cannot be read: ${error.code ?? error.message}.`, { details: { path: file } });
  });
  const loaded = await engine.call('model.load', { path, options: { ...evaluationLoad(context), ...threadsOf(threads) } });
  return evaluateText(engine, loaded, { text, context }, evaluationHooks(hooks, await adaptersOf(engine, loaded, adapter)));
}

/** The dataset is encoded into a folder that is there meanwhile, as for training, and all of it counts. */
async function evaluateData(
  engine: Engine,
  path: string,
  { data = [], context, threads, adapter, format, map, loss }: EvalFlags,
  hooks: Hooks,
): Promise<Perplexity & { data: DataUse }> {
  const scratch = await mkdtemp(join(tmpdir(), 'moebius-eval-'));
  const folder = join(scratch, 'data');
  try {
    const encoded = await withTokeniser(engine, path, (loaded) => {
      const maxTokens = context ?? loaded.inspection.contextLength;
      const files = data.map((file) => resolve(file));
      return encodeFor(
        engine,
        loaded,
        { files, loss, maxTokens, validation: 0, ...(format && { format }), ...(map && { map }) },
        { folder, signal: hooks.signal, onProgress: ({ fraction }) => hooks.tell({ what: 'data', fraction }) },
      );
    });
    const { examples, longest } = await examplePart(folder, 'train');
    const loaded = await engine.call('model.load', { path, options: { ...evaluationLoad(longest), ...threadsOf(threads) } });
    const adapters = await adaptersOf(engine, loaded, adapter);
    return { ...(await evaluateExamples(engine, loaded, { folder, part: 'train', examples }, evaluationHooks(hooks, adapters))), data: dataUse(encoded) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
