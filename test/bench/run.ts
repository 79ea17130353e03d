// `npm run bench -- NAME [--json] [--runs N] [--threads N]`: runs test/bench/NAME.ts. Exit code 0 only if every bar holds; 2: bad usage.
import { readdirSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Benchmark, type Case, LEAST_RUNS } from './support/benchmark.ts';

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== basename(import.meta.filename))
  .map((file) => file.replace(/\.ts$/, ''));

const say = (text: string) => void process.stderr.write(`${text}\n`);
const quote = (word: string) => (/^[\w./:=+-]+$/.test(word) ? word : `'${word}'`);

async function loadBenchmark(name: string): Promise<Benchmark> {
  const module: { default: Benchmark } = await import(join(import.meta.dirname, `${name}.ts`)); // every file beside this one is a benchmark
  return module.default;
}

function printTable(cases: Case[]): void {
  const figure = (value: number) => value.toPrecision(4);
  const rows = cases.map((each) => [
    each.case,
    `${figure(each.ours)}`,
    `${figure(each.baseline)}`,
    each.unit,
    each.ratio.toFixed(3),
    `>= ${Number(each.bar.toPrecision(4))}`,
    each.ok ? 'ok' : 'MISSED',
  ]);
  const table = [['case', 'ours', 'baseline', 'unit', 'ratio', 'bar', ''], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table)
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      runs: { type: 'string', default: String(LEAST_RUNS) },
      threads: { type: 'string', default: String(availableParallelism()) },
    },
  });
  const [name] = positionals;
  const [runs, threads] = [Number(values.runs), Number(values.threads)];
  if (!name || !names.includes(name) || positionals.length > 1 || !(runs >= LEAST_RUNS) || !(threads >= 1)) {
    say(`usage: npm run bench -- NAME [--json] [--runs N, at least ${LEAST_RUNS}] [--threads N]`);
    for (const each of names) say(`  ${each}: ${(await loadBenchmark(each)).description}`);
    return 2;
  }
  const benchmark = await loadBenchmark(name);
  say(`${name}: ${benchmark.description}`);
  say(`machine: ${cpus()[0]?.model} x ${cpus().length}, ${(totalmem() / 2 ** 30).toFixed(1)} GiB, ${type()} ${release()}, Node ${process.version}`);
  say(`date: ${new Date().toISOString()}; ${runs} runs of each side, alternating; ${threads} threads`);
  const cases = await benchmark.run({ runs, threads, log: say, command: (side, words) => say(`${side}: ${words.map(quote).join(' ')}`) });
  const ok = cases.every((each) => each.ok);
  if (values.json) process.stdout.write(`${JSON.stringify({ name, cases, ok })}\n`);
  else printTable(cases);
  return ok ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS') ? 2 : 1;
}
