// Fine-tunes an adapter: `moebius train --config job.json`, and exports of what it leaves.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { MoebiusError, type RunEvent } from '../contract/index.ts';
import { ExportFormat, type OpenedRun, type StepReport } from '../engine/train-protocol.ts';
import { TrainJob } from '../training/run/job.ts';
import { estimate, type Training, train } from '../training/run/train.ts';
import { dataUseText } from './dataset-text.ts';
import { withEngine } from './engine-session.ts';
import { interruptible } from './interruption.ts';
import { UsageError } from './options.ts';
import { formatBytes, formatCount, note, print, printJson, significant } from './output.ts';
import { embeddedModel } from './paths.ts';
import { printResult, progressTeller } from './progress.ts';
import { estimateText } from './train-estimate.ts';

const EXAMPLE = `
A job, all paths from where it lies:
  {
    "data": { "files": ["roman.jsonl"], "maxTokens": 512 },
    "folder": "roman",
    "adapter": { "attention": { "loraRank": 8 }, "experts": { "loraRank": 8 } },
    "schedule": { "kind": "cosine", "steps": 200, "learningRate": 1e-3, "warmupSteps": 10 },
    "batchTokens": 1024, "validateEvery": 50, "saveEvery": 50
  }
Only the experts that the data uses most: "experts": { "loraRank": 8, "chosen": { "method": "gate", "topP": 0.2 } },
only named ones: "chosen": { "layers": { "0": [1, 5] } }.
Begun again, a run goes on with its newest checkpoint.`;

export function addTrainCommands(program: Command): void {
  program
    .command('train')
    .description('fine-tune a model on data of yours: LoRA on attention, experts and routers')
    .requiredOption('--config <file>', 'the job, JSON')
    .option('--estimate', 'say what memory and time it would take, and end')
    .option('--json', 'JSON lines: what happens, as it happens; of --estimate one, with what became of the rows as its `data`')
    .addHelpText('after', EXAMPLE)
    .action(trainJob);
  program
    .command('export')
    .description('make files of a checkpoint of "moebius train"')
    .argument('<checkpoint>')
    .argument('<output>', 'a file; of peft a folder')
    .addOption(
      new Option('--format <format>', 'a LoRA GGUF for llama.cpp, files for PEFT, or a model with the adapter worked into it')
        .choices(ExportFormat.options)
        .default('adapter' satisfies ExportFormat),
    )
    .option('--type <type>', 'of numbers: adapter f32 or f16, merged "same", f32, f16, bf16, q8_0 ...')
    .option('--base-name <name>', 'what PEFT loads the base by, as Qwen/Qwen3-30B-A3B')
    .option('--pairs-only', 'leave out whole tensors that were trained (routers, norms, embedding, head), which only merged models hold')
    .option('--json', 'JSON lines: how far a merged file is, and last what was made')
    .action(exportCheckpoint);
}

/** Paths become absolute: they are meant from where the job lies. */
async function readJob(file: string): Promise<Training['job']> {
  const path = resolve(file);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new MoebiusError('file.not-found', `The job ${path} cannot be read: ${error.code ?? error.message}.`, { details: { path } });
  });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path} is no JSON: ${error instanceof Error ? error.message : error}`);
  }
  const job = TrainJob.safeParse(parsed);
  if (!job.success) throw new UsageError(`${path} is no training job:\n${z.prettifyError(job.error)}`);
  const from = (name: string) => resolve(dirname(path), name);
  const { data, folder, model, ...rest } = job.data;
  return { ...rest, folder: from(folder), data: { ...data, files: data.files.map(from) }, model: model === undefined ? embeddedModel() : from(model) };
}

interface TrainFlags {
  config: string;
  estimate?: boolean;
  json?: boolean;
}

async function trainJob(flags: TrainFlags): Promise<void> {
  const job = await readJob(flags.config);
  await interruptible('The run was stopped; begun again, it goes on from its newest checkpoint.', async (signal) => {
    if (!flags.estimate) return train({ job, withEngine, signal, onEvent: (event) => (flags.json ? printJson(event) : tell(event)) });
    const found = await estimate({ job, withEngine, signal });
    if (flags.json) printJson(found);
    else print(`${dataUseText(found.data)}\n\n${estimateText(found)}`);
  });
}

function tell(event: RunEvent): void {
  switch (event.event) {
    case 'preparing':
      print(`${event.what === 'data' ? 'reading the data' : 'choosing experts by what the data uses'}, ${Math.floor(100 * event.fraction)}%`);
      return;
    case 'data':
      print(dataUseText(event));
      return;
    case 'opened':
      print(
        `${formatCount(event.parameters)} parameters in ${event.tensors.length} tensors, ${event.examples} examples, ${event.steps} steps; the optimiser remembers ${formatBytes(event.optimiserBytes)}`,
      );
      if (event.chosenExperts) print(chosenText(event.chosenExperts));
      if (event.resumed !== null) print(`Goes on behind step ${event.step}: ${event.resumed}`);
      return;
    case 'step': {
      const { step, loss, gradientNorm, learningRate, targets, tokens, seconds, guardian, unmoved } = event;
      print(
        `step ${step}  loss ${number(loss)}  gradient ${number(gradientNorm)}  rate ${learningRate.toExponential(2)}  ${targets} of ${tokens} tokens learnt  ${significant(tokens / seconds)} tokens/s`,
      );
      if (event.preference) print(preferenceText(event.preference));
      if (guardian.reason !== '') note(`${guardian.action}: ${guardian.reason}`);
      for (const { name, expert, hasGradient } of unmoved) {
        const why = hasGradient ? 'has a gradient and did not move' : 'should have a gradient and has none: it is not trained';
        note(`${name}${expert === null ? '' : `, expert ${expert}`} ${why}.`);
      }
      return;
    }
    case 'validation':
      print(`step ${event.step}  validation loss ${number(event.loss)} of ${event.targets} tokens`);
      if (event.preference) print(preferenceText(event.preference));
      for (const { expertUsedCount, loss } of event.byExpertUsedCount ?? []) print(`  with ${expertUsedCount} experts a token  ${number(loss)}`);
      return;
    case 'saved':
      print(`saved ${event.path}`);
      return;
    case 'movement':
      print(movementText(event));
      return;
    case 'sample':
      if (event.problem) note(`A question could not be asked: ${event.problem.message}`);
      else print(`step ${event.step}  asked: ${event.prompt}\n  answered: ${event.answer}${event.expected === null ? '' : `\n  right: ${event.expected}`}`);
      return;
    case 'ended':
      print(`${event.step} steps in ${significant(event.seconds)} s`);
  }
}

function preferenceText({ accuracy, margin, chosenReward, rejectedReward }: NonNullable<StepReport['preference']>): string {
  return `  ${significant(100 * accuracy)}% of pairs are right, by ${number(margin)}; rewards ${number(chosenReward)} of chosen answers, ${number(rejectedReward)} of rejected ones`;
}

function chosenText({ sampledTokens, layers }: NonNullable<OpenedRun['chosenExperts']>): string {
  const lines = layers.map(({ layer, experts, affinities }) => {
    const share = affinities.reduce((sum, each) => sum + each, 0);
    const each = experts.map((expert, i) => (affinities[i] === undefined ? expert : `${expert} (${significant(100 * affinities[i])}%)`)).join(', ');
    return `  layer ${layer}: ${each}${affinities.length > 0 ? `, together ${significant(100 * share)}%` : ''}`;
  });
  return [
    sampledTokens === null ? 'Only these experts are adapted:' : `Only the experts that ${formatCount(sampledTokens)} tokens of the data use most are adapted:`,
    ...lines,
  ].join('\n');
}

/** Every expert's matrix counts by itself, and every whole tensor. */
function movementText({ step, tensors }: Extract<RunEvent, { event: 'movement' }>): string {
  const matrices = tensors.flatMap(({ norms }) => norms);
  const moved = matrices.filter((norm) => norm > 0).length;
  return `step ${step}  ${moved} of ${matrices.length} matrices (one for each expert) and whole tensors have moved, the furthest by ${significant(Math.max(...matrices))}`;
}

const number = (value: number | null) => (value === null ? 'no number' : significant(value));

interface ExportFlags {
  format: ExportFormat;
  type?: string;
  baseName?: string;
  pairsOnly?: boolean;
  json?: boolean;
}

async function exportCheckpoint(checkpoint: string, output: string, { json, ...how }: ExportFlags): Promise<void> {
  const from = resolve(checkpoint);
  if (!existsSync(from)) throw new MoebiusError('file.not-found', `There is no file ${from}.`, { details: { path: from } });
  const tell = progressTeller(json === true);
  await interruptible('The export was cancelled.', async (signal) => {
    const hooks = { signal, onProgress: ({ fraction }: { fraction: number }) => tell({ what: 'export', fraction }) };
    const result = await withEngine((engine) => engine.call('train.export', { checkpoint: from, path: resolve(output), ...how }, hooks));
    if (json) printResult(result);
    else print(`${result.path}: what was trained in ${result.step} steps`);
  });
}
