// Options that several commands share, and their way into LoadOptions and Sampling.
import { type Command, InvalidArgumentError } from 'commander';
import type { z } from 'zod';
import { adapterScale, type ExpertDeviceBudget, LoadOptions, Sampling } from '../contract/index.ts';
import { describeIssues } from '../rpc/dispatcher.ts';

/** A command that was called wrongly: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('not a number.');
  return value;
}

export function wholeNumber(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('not a whole number.');
  return value;
}

const list = (text: string): string[] => text.split(',').filter((part) => part !== '');
const numbers = (text: string): number[] => list(text).map(number);
/** An option that may be given several times. */
export const collect = (text: string, previous: string[] = []): string[] => [...previous, text];

/** `Vulkan0=4000000000,RPC0@10.0.0.2:50052=1000000` */
function budgets(text: string): ExpertDeviceBudget[] {
  return list(text).map((part) => {
    const at = part.lastIndexOf('=');
    if (at < 1) throw new InvalidArgumentError('it takes DEVICE=BYTES, several separated by commas.');
    return { id: part.slice(0, at), bytes: wholeNumber(part.slice(at + 1)) };
  });
}

function replicaPrecision(text: string): { type: string; share: number } {
  const [type = '', share] = text.split('=');
  if (share === undefined) throw new InvalidArgumentError('it takes TYPE=SHARE, as q4_0=0.25.');
  return { type, share: number(share) };
}

export interface ModelFlags {
  model?: string;
  context?: number;
  sequences?: number;
  batch?: number;
  threads?: number;
  gpuLayers?: number;
  devices?: string[];
  remote?: string[];
  tensorSplit?: number[];
  cpuExpertLayers?: number;
  expertRam?: number;
  expertPolicy?: string;
  slotAllocation?: string;
  expertPrefetch?: string;
  expertStorage?: string;
  expertLayout?: string;
  expertDevices?: ExpertDeviceBudget[];
  expertReplication: boolean;
  lowPrecisionAbove?: number;
  lowPrecisionType?: string;
  skipBudget?: number;
  expertReplicaPrecision?: { type: string; share: number };
  kvType?: string;
  flashAttention?: string;
  telemetry: boolean;
}

export function addModelOptions(command: Command): Command {
  return command
    .argument('[model]', 'GGUF file (default: the embedded tiny-moe)')
    .option('-m, --model <file>', 'the same as the argument')
    .option('-c, --context <tokens>', 'context per sequence', wholeNumber)
    .option('--sequences <n>', 'sequences that may run at once', wholeNumber)
    .option('-b, --batch <tokens>', 'tokens per batch', wholeNumber)
    .option('-t, --threads <n>', 'CPU threads (default: physical cores)', wholeNumber)
    .option('--gpu-layers <n>', 'layers on GPUs (default: all, if there is a GPU)', wholeNumber)
    .option('--devices <ids>', 'GPUs to use, as "moebius devices" names them, separated by commas', list)
    .option('--remote <host:port>', 'also the devices of a machine that runs "moebius rpc-server" (may be given several times)', collect)
    .option('--tensor-split <shares>', 'share of the layers on GPUs for each GPU of --devices, separated by commas', numbers)
    .option('--cpu-expert-layers <n>', 'keep the experts of the first n MoE layers in RAM', wholeNumber)
    .option('--expert-ram <bytes>', 'RAM for experts, others stay on disk (default: all, or what is free); 0: no expert cache', wholeNumber)
    .option('--expert-policy <name>', 'which expert leaves the RAM: lru, lfu, lfru, score, least-stale, lrfu, foresight or auto')
    .option('--slot-allocation <way>', 'which layers get how much of the RAM for experts: uniform, shallow, marginal or auto')
    .option('--expert-prefetch <mode>', 'read experts before they are asked for: auto (as far as it pays) or off (default: auto)')
    .option('--expert-storage <mode>', 'auto, slots (of each layer) or ring (shared by all layers, for models far beyond the RAM)')
    .option('--expert-layout <mode>', 'auto: read experts from the file that "moebius layout" wrote, if there is one; off')
    .option('--expert-devices <list>', 'GPUs that hold copies of experts, each with its bytes: Vulkan0=4000000000,Vulkan1=2000000000', budgets)
    .option('--no-expert-replication', 'copies on GPUs do not follow the load')
    .option(
      '--low-precision-above <share>',
      "changes answers: experts on disk that rank below this share of a token's gate weights (0 to 1) are computed in fewer bits",
      number,
    )
    .option('--low-precision-type <type>', 'of these copies: q4_0, q3_k or q2_k (default: q2_k)')
    .option(
      '--skip-budget <nats>',
      'changes answers: experts on disk are left out as far as "moebius calibrate" found that the harm stays below this (0.01: little)',
      number,
    )
    .option(
      '--expert-replica-precision <type=share>',
      'lossy: GPUs hold at most this share of the experts, the least important ones, in q4_0, q3_k or q2_k, and more copies of busy ones: q4_0=0.25',
      replicaPrecision,
    )
    .option('--kv-type <type>', 'type of the KV cache: f16, q8_0, ...')
    .option('--flash-attention <mode>', 'auto, on or off')
    .option('--no-telemetry', 'do not observe the router');
}

function lossyExperts({ lowPrecisionAbove, lowPrecisionType, skipBudget }: ModelFlags): object | undefined {
  if (lowPrecisionAbove === undefined && lowPrecisionType !== undefined) throw new UsageError('--low-precision-type needs --low-precision-above');
  if (lowPrecisionAbove === undefined && skipBudget === undefined) return undefined;
  return {
    ...(lowPrecisionAbove === undefined ? {} : { lowPrecision: { above: lowPrecisionAbove, type: lowPrecisionType } }),
    ...(skipBudget === undefined ? {} : { skip: { budget: skipBudget } }),
  };
}

export function toLoadOptions(flags: ModelFlags): LoadOptions {
  return parse(LoadOptions, {
    contextLength: flags.context,
    sequences: flags.sequences,
    batch: flags.batch,
    threads: flags.threads,
    gpuLayers: flags.gpuLayers,
    devices: flags.devices,
    machines: flags.remote,
    tensorSplit: flags.tensorSplit,
    cpuExpertLayers: flags.cpuExpertLayers,
    expertRamBytes: flags.expertRam,
    expertPolicy: flags.expertPolicy,
    slotAllocation: flags.slotAllocation,
    expertPrefetch: flags.expertPrefetch,
    expertStorage: flags.expertStorage,
    expertLayout: flags.expertLayout,
    expertDevices: flags.expertDevices,
    expertReplication: flags.expertReplication,
    lossyExperts: lossyExperts(flags),
    expertReplicaPrecision: flags.expertReplicaPrecision,
    kvTypeK: flags.kvType,
    kvTypeV: flags.kvType,
    flashAttention: flags.flashAttention,
    telemetry: flags.telemetry,
  });
}

export interface AdapterFlag {
  path: string;
  scale: number;
}

/** `FILE` or `FILE:SCALE`; a colon that no number follows belongs to the file. */
export function adapterFlag(text: string, previous: AdapterFlag[] = []): AdapterFlag[] {
  const at = text.lastIndexOf(':');
  const scaled = at > 0 && /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text.slice(at + 1));
  const scale = adapterScale.safeParse(scaled ? Number(text.slice(at + 1)) : 1);
  if (!scale.success) throw new InvalidArgumentError('a scale is a number from -100 to 100.');
  return [...previous, { path: scaled ? text.slice(0, at) : text, scale: scale.data }];
}

export function addAdapterOption(command: Command): Command {
  return command.option(
    '--adapter <file[:scale]>',
    'LoRA adapter (GGUF) of the model that is on, scale 1 if none is given (may be given several times)',
    adapterFlag,
  );
}

export interface SamplingFlags {
  maxTokens?: number;
  seed?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repeatPenalty?: number;
  stop?: string[];
  grammar?: string;
  jsonSchema?: string;
}

export function addSamplingOptions(command: Command): Command {
  return command
    .option('-n, --max-tokens <n>', 'longest reply, tokens', wholeNumber)
    .option('-s, --seed <n>', 'seed of the sampler', wholeNumber)
    .option('--temperature <t>', '0: greedy', number)
    .option('--top-k <k>', 'sample from the k most likely tokens', wholeNumber)
    .option('--top-p <p>', 'sample from the most likely tokens that make up p', number)
    .option('--min-p <p>', 'drop tokens below p times the most likely one', number)
    .option('--repeat-penalty <x>', 'penalty on repeated tokens, 1: none', number)
    .option('--stop <text>', 'end the reply before this text (may be given several times)', collect)
    .option('--grammar <gbnf>', 'constrain the reply by a GBNF grammar')
    .option('--json-schema <json>', 'constrain the reply by a JSON schema');
}

export function toSampling(flags: SamplingFlags): Sampling {
  return parse(Sampling, {
    seed: flags.seed,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    repeatPenalty: flags.repeatPenalty,
    grammar: flags.grammar,
    jsonSchema: flags.jsonSchema === undefined ? undefined : parseJson(flags.jsonSchema),
  });
}

function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new UsageError(describeIssues(parsed.error));
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`--json-schema is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
