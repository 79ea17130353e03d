// Speed of one model on this machine: prefill and decode, whole generations with sampling, streaming and telemetry.
import { cpus } from 'node:os';
import type { Command } from 'commander';
import { type ModelSession, withModel } from './engine-session.ts';
import { addModelOptions, type ModelFlags, toLoadOptions, UsageError, wholeNumber } from './options.ts';
import { formatTable, print, printJson, significant } from './output.ts';

interface BenchFlags extends ModelFlags {
  promptTokens: number;
  tokens: number;
  repetitions: number;
  json?: boolean;
}

interface Speeds {
  median: number;
  lowest: number;
  highest: number;
}

export function addBenchCommand(program: Command): void {
  const command = program.command('bench').description('measure prefill and decode speed of a model on this machine');
  addModelOptions(command)
    .option('--prompt-tokens <n>', 'tokens of the prompt', wholeNumber, 256)
    .option('--tokens <n>', 'tokens to generate', wholeNumber, 128)
    .option('-r, --repetitions <n>', 'counted runs, after one warm-up', wholeNumber, 5)
    .option('--json', 'one JSON object')
    .action(bench);
}

async function bench(model: string | undefined, flags: BenchFlags): Promise<void> {
  if (flags.promptTokens < 1 || flags.tokens < 2 || flags.repetitions < 1)
    throw new UsageError('At least 1 prompt token, 2 tokens and 1 repetition are needed.');
  const load = { sequences: 1, contextLength: flags.promptTokens + flags.tokens, ...definedOnly(toLoadOptions(flags)) };
  const result = await withModel(model ?? flags.model, load, async (session) => {
    const runs: { prefill: number; decode: number }[] = [];
    for (let run = 0; run <= flags.repetitions; run++) {
      const speeds = await measure(session, flags, run);
      if (run > 0) runs.push(speeds); // run 0 is the warm-up
    }
    return { model: session.modelId, prefill: summarise(runs.map((run) => run.prefill)), decode: summarise(runs.map((run) => run.decode)) };
  });
  const report = {
    ...result,
    promptTokens: flags.promptTokens,
    tokens: flags.tokens,
    repetitions: flags.repetitions,
    cpu: cpus()[0]?.model ?? 'unknown',
    date: new Date().toISOString(),
  };
  if (flags.json) return printJson(report);
  const row = (name: string, speeds: Speeds) => [name, significant(speeds.median), significant(speeds.lowest), significant(speeds.highest)];
  print(
    formatTable([
      ['tokens/s', 'median', 'lowest', 'highest'],
      row(`prefill ${flags.promptTokens}`, result.prefill),
      row(`decode ${flags.tokens}`, result.decode),
    ]),
  );
}

async function measure({ generations, modelId, vocabularySize }: ModelSession, flags: BenchFlags, run: number): Promise<{ prefill: number; decode: number }> {
  // Arbitrary but repeatable token ids; another offset each run keeps the prefix cache out of the figure.
  const tokens = Array.from({ length: flags.promptTokens }, (_, index) => ((index + 1) * 7919 + run * 104729) % vocabularySize);
  const request = { modelId, input: { tokens }, maxTokens: flags.tokens, sampling: { temperature: 0 }, ignoreEndOfGeneration: true, cachePrompt: false };
  const outcome = await generations.start(request).done;
  return { prefill: (outcome.promptTokens * 1000) / outcome.promptMilliseconds, decode: ((outcome.tokens - 1) * 1000) / outcome.decodeMilliseconds };
}

function summarise(values: number[]): Speeds {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const at = (index: number) => sorted[index] ?? 0;
  const median = sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2;
  return { median, lowest: at(0), highest: at(sorted.length - 1) };
}

function definedOnly<T extends object>(options: T): Partial<T> {
  // fromEntries of an object's own entries: a part of that object
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
