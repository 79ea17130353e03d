import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { ExpertDevices, ExpertStore, LossyUses } from '../engine/protocol.ts';
import type { ExpertUsage, GenerationInput, GenerationOutcome } from '../generation/generation.ts';
import { type ModelSession, withModel } from './engine-session.ts';
import {
  type AdapterFlag,
  addAdapterOption,
  addModelOptions,
  addSamplingOptions,
  type ModelFlags,
  type SamplingFlags,
  toLoadOptions,
  toSampling,
  UsageError,
} from './options.ts';
import { note, printJson, significant } from './output.ts';

interface GenerateFlags extends ModelFlags, SamplingFlags {
  adapter?: AdapterFlag[];
  prompt?: string;
  file?: string;
  chat?: boolean;
  system?: string;
  ignoreEos?: boolean;
  json?: boolean;
}

export function addGenerateCommand(program: Command): void {
  const command = program.command('generate').description('continue a prompt, or answer it with --chat');
  addAdapterOption(addSamplingOptions(addModelOptions(command)))
    .option('-p, --prompt <text>', 'the prompt (default: standard input)')
    .option('-f, --file <file>', 'read the prompt from a file')
    .option('--chat', "treat the prompt as a user's message, through the model's chat template")
    .option('--system <text>', 'system prompt, with --chat')
    .option('--ignore-eos', 'go on after the end of generation')
    .option('--json', 'one JSON object with text, speeds and expert usage')
    .action(generate);
}

async function generate(model: string | undefined, flags: GenerateFlags): Promise<void> {
  const load = toLoadOptions(flags);
  const sampling = toSampling(flags);
  const input = toInput(await readPrompt(flags), flags);
  const work = async ({ engine, generations, loaded, modelId }: ModelSession) => {
    const generation = generations.start(
      { modelId, input, sampling, maxTokens: flags.maxTokens, stop: flags.stop, ignoreEndOfGeneration: flags.ignoreEos },
      flags.json ? {} : { onTokens: (tokens) => void process.stdout.write(tokens.map((token) => token.text).join('')) },
    );
    const stop = () => generation.cancel();
    process.once('SIGINT', stop);
    try {
      const outcome = await generation.done;
      return { outcome, ...(await engine.call('experts.status', { model: loaded.model })) };
    } finally {
      process.off('SIGINT', stop);
    }
  };
  const result = await withModel(model ?? flags.model, load, work, flags.adapter);
  const report = { ...toReport(result.outcome), expertStore: result.store, expertDevices: result.devices };
  if (flags.json) return printJson(report);
  process.stdout.write('\n');
  note(
    `${report.tokens} tokens, ${significant(report.tokensPerSecond)} tok/s, first after ${significant(report.timeToFirstTokenMs)} ms; prompt ${report.promptTokens} tokens, ${significant(report.promptTokensPerSecond)} tok/s`,
  );
  if (result.store) note([summarise(result.store), summarisePrefetch(result.store)].filter(Boolean).join('\n'));
  if (report.lossy) note(summariseLossy(report.lossy));
  if (result.devices) note(summariseDevices(result.devices));
}

function summariseLossy({ assignments, lowPrecision, skipped }: LossyUses): string {
  const share = (count: number) => `${((count * 100) / Math.max(1, assignments)).toFixed(1)}%`;
  return `lossy: ${share(lowPrecision)} of the experts' uses at low precision, ${share(skipped)} left out (of ${assignments})`;
}

function summarise({ hits, late, misses, ramBytes, diskBytes, bytesRead }: ExpertStore): string {
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
  const rate = (hits * 100) / Math.max(1, hits + late + misses);
  return `experts: ${gigabytes(ramBytes)} of ${gigabytes(diskBytes)} in RAM, ${rate.toFixed(1)}% of uses found there; ${gigabytes(bytesRead)} read`;
}

/** '' when nothing was predicted. */
export function summarisePrefetch({ prefetch }: Pick<ExpertStore, 'prefetch'>): string {
  const percent = (part: number, of: number) => `${((part * 100) / Math.max(1, of)).toFixed(0)}%`;
  const lines = prefetch.predictors
    .filter(({ uses }) => uses > 0)
    .map(({ name, uses, right, read, used, late, wasted, depth }) => {
      const came = read > 0 ? `${read} read (${percent(used, read)} used, ${percent(late, read)} late, ${percent(wasted, read)} wasted)` : 'nothing read';
      return `${name} ${percent(right, uses)} right, ${came}${depth === 0 ? ', switched off' : ''}`;
    });
  return lines.length > 0 ? `prefetch: ${lines.join('; ')}` : '';
}

/** `computed by Vulkan0 61%, Vulkan1 30%, CPU 9%; 12 copies made meanwhile` */
function summariseDevices({ devices, cpuTokens }: ExpertDevices): string {
  const parts = [...devices.map(({ id, tokens, lost }) => ({ id: lost ? `${id} (lost)` : id, tokens })), { id: 'CPU', tokens: cpuTokens }];
  const all = Math.max(
    1,
    parts.reduce((sum, { tokens }) => sum + tokens, 0),
  );
  const shares = parts.map(({ id, tokens }) => `${id} ${((tokens * 100) / all).toFixed(0)}%`).join(', ');
  return `computed by ${shares}; ${devices.reduce((sum, { copied }) => sum + copied, 0)} copies made meanwhile`;
}

async function readPrompt(flags: GenerateFlags): Promise<string> {
  if (flags.prompt !== undefined && flags.file !== undefined) throw new UsageError('Give --prompt or --file, not both.');
  if (flags.prompt !== undefined) return flags.prompt;
  if (flags.file !== undefined) return readFile(flags.file, 'utf8').catch(unreadable(flags.file));
  if (process.stdin.isTTY) throw new UsageError('There is no prompt: give --prompt TEXT, --file FILE or standard input.');
  return readAll(process.stdin);
}

const unreadable = (file: string) => (error: Error) => {
  throw new UsageError(`Cannot read ${file}: ${error.message}`);
};

function toInput(prompt: string, flags: GenerateFlags): GenerationInput {
  if (!flags.chat) return { prompt };
  const system = flags.system ? [{ role: 'system' as const, content: flags.system }] : [];
  return { chat: { messages: [...system, { role: 'user', content: prompt }] } };
}

const perSecond = (tokens: number, milliseconds: number) => (milliseconds > 0 ? (tokens * 1000) / milliseconds : 0);

/** layers x experts */
function toRows(usage: ExpertUsage): number[][] {
  return usage.moeLayers.map((_, row) => [...usage.counts.subarray(row * usage.expertCount, (row + 1) * usage.expertCount)]);
}

/** What `generate --json` prints. */
export function toReport(outcome: GenerationOutcome) {
  return {
    text: outcome.text,
    finishReason: outcome.finishReason,
    tokens: outcome.tokens,
    promptTokens: outcome.promptTokens,
    cachedTokens: outcome.cachedTokens,
    // the first token comes out of the prompt's evaluation
    tokensPerSecond: perSecond(outcome.tokens - 1, outcome.decodeMilliseconds),
    promptTokensPerSecond: perSecond(outcome.promptTokens - outcome.cachedTokens, outcome.promptMilliseconds),
    timeToFirstTokenMs: outcome.timeToFirstTokenMilliseconds,
    promptMs: outcome.promptMilliseconds,
    decodeMs: outcome.decodeMilliseconds,
    seed: outcome.seed,
    lossy: outcome.lossy,
    adapters: outcome.adapters,
    message: outcome.message,
    moeLayers: outcome.usage?.moeLayers ?? [],
    expertUsage: outcome.usage ? toRows(outcome.usage) : [],
  };
}
