// Records which experts every token went through, and reads such recordings. Format: main/experts/trace-format.md.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { usageBalance } from '../contract/experts-balance.ts';
import { NOT_COMPUTED, type RouteRecord } from '../experts/route-record.ts';
import type { TraceHeader } from '../experts/trace-header.ts';
import { TraceFile } from '../experts/trace-reader.ts';
import { TraceWriter } from '../experts/trace-writer.ts';
import { type ModelSession, withModel } from './engine-session.ts';
import { addModelOptions, addSamplingOptions, type ModelFlags, type SamplingFlags, toLoadOptions, toSampling, UsageError } from './options.ts';
import { formatTable, note, print, printJson } from './output.ts';

interface TraceFlags extends ModelFlags, SamplingFlags {
  prompt?: string[];
  file?: string;
  output?: string;
  read?: string;
  append?: boolean;
  json?: boolean;
}

const collect = (text: string, previous: string[] = []): string[] => [...previous, text];

export function addTraceCommand(program: Command): void {
  const command = program.command('trace').description('record the routing of prompts to a file (--output), or summarise a recording (--read)');
  addSamplingOptions(addModelOptions(command))
    .option('-o, --output <file>', 'the trace file to write')
    .option('--append', 'go on with a trace file that exists')
    .option('-p, --prompt <text>', 'a prompt (may be given several times)', collect)
    .option('-f, --file <file>', 'a file with one prompt a line')
    .option('--read <file>', 'summarise this trace file')
    .option('--json', 'one JSON object')
    .action(trace);
}

async function trace(model: string | undefined, flags: TraceFlags): Promise<void> {
  if ((flags.output === undefined) === (flags.read === undefined))
    throw new UsageError('Give --output FILE to record a trace, or --read FILE to summarise one.');
  if (flags.output !== undefined) await record(model ?? flags.model, flags.output, flags);
  const summary = await summarise(flags.read ?? flags.output ?? '');
  if (flags.json) printJson(summary);
  else print(summaryText(summary));
}

async function record(model: string | undefined, output: string, flags: TraceFlags): Promise<void> {
  const prompts = await readPrompts(flags);
  await withModel(model, toLoadOptions(flags), async (session) => {
    const { name, architecture, moeLayers, expertCount, expertUsedCount } = session.loaded.inspection;
    const header: TraceHeader = { model: name, architecture, moeLayers, expertCount, expertUsedCount };
    const writer = flags.append ? await TraceWriter.append(output, header) : await TraceWriter.create(output, header);
    try {
      for (const [sequence, prompt] of prompts.entries()) await recordPrompt(session, writer, sequence, prompt, flags);
    } finally {
      await writer.close();
    }
  });
}

async function recordPrompt({ generations, modelId }: ModelSession, writer: TraceWriter, sequence: number, prompt: string, flags: TraceFlags): Promise<void> {
  const request = {
    modelId,
    input: { prompt },
    sampling: toSampling(flags),
    maxTokens: flags.maxTokens ?? 128,
    stop: flags.stop,
    routes: true,
    cachePrompt: false,
  };
  const writes: Promise<void>[] = [];
  const outcome = await generations.start(request, { onRoutes: (frame) => void writes.push(writer.write(sequence, frame)) }).done;
  await Promise.all(writes);
  note(`sequence ${sequence}: ${outcome.promptTokens} prompt tokens, ${outcome.tokens} generated`);
}

async function readPrompts(flags: TraceFlags): Promise<string[]> {
  const lines =
    flags.file === undefined
      ? []
      : (
          await readFile(flags.file, 'utf8').catch((error: Error) => {
            throw new UsageError(`Cannot read ${flags.file}: ${error.message}`);
          })
        ).split('\n');
  const prompts = [...(flags.prompt ?? []), ...lines.filter((line) => line.trim() !== '')];
  if (prompts.length === 0) throw new UsageError('There is nothing to trace: give --prompt TEXT or --file FILE.');
  return prompts;
}

interface TraceSummary {
  header: TraceHeader;
  sequences: number;
  tokens: number;
  /** layers x experts */
  expertUsage: number[][];
  balance: ReturnType<typeof usageBalance>;
  tail: TraceFile['tail'];
}

async function summarise(path: string): Promise<TraceSummary> {
  const file = new TraceFile(path);
  const sequences = new Set<number>();
  let tokens = 0;
  let counts: Float64Array | null = null;
  for await (const one of file) {
    const header = headerOf(file);
    counts ??= new Float64Array(header.moeLayers.length * header.expertCount);
    sequences.add(one.sequence);
    tokens += one.tokenIds.length;
    addRecord(counts, one, header);
  }
  const header = headerOf(file);
  const all = counts ?? new Float64Array(header.moeLayers.length * header.expertCount);
  const expertUsage = header.moeLayers.map((_, row) => [...all.subarray(row * header.expertCount, (row + 1) * header.expertCount)]);
  const balance = usageBalance({ moeLayers: header.moeLayers, expertCount: header.expertCount, counts: all });
  return { header, sequences: sequences.size, tokens, expertUsage, balance, tail: file.tail };
}

function headerOf(file: TraceFile): TraceHeader {
  if (file.header === null) throw new Error('a trace that was read to its end has a header');
  return file.header;
}

function addRecord(counts: Float64Array, { experts }: RouteRecord, header: TraceHeader): void {
  const perToken = header.moeLayers.length * header.expertUsedCount;
  experts.forEach((expert, index) => {
    if (expert === NOT_COMPUTED) return;
    const row = Math.floor((index % perToken) / header.expertUsedCount);
    const cell = row * header.expertCount + expert;
    counts[cell] = (counts[cell] ?? 0) + 1;
  });
}

function summaryText({ header, sequences, tokens, balance, tail }: TraceSummary): string {
  const figure = (value: number | null) => (value === null ? '-' : value.toFixed(2));
  const rows = balance.map((row) => [
    String(row.layer),
    String(row.total),
    figure(row.maximumOverMean),
    figure(row.coefficientOfVariation),
    figure(row.entropyBits),
    String(row.deadExperts.length),
  ]);
  const damage = tail && tail.state !== 'whole' ? `\nThe file is ${tail.state} at byte ${tail.offset}; everything before it was read.` : '';
  return `${header.model} (${header.architecture}): ${sequences} sequences, ${tokens} tokens, ${header.expertUsedCount} of ${header.expertCount} experts a token${damage}\n\n${formatTable([['layer', 'choices', 'max/mean', 'CV', 'entropy', 'dead'], ...rows])}`;
}
