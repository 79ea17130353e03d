// A MoE of 4.3 GB in a memory cgroup of half its size: ours against llama.cpp's memory map, and against what the disk allows.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { alternate, type BenchContext, type Benchmark, type Case, toCase } from './support/benchmark.ts';
import { type LlamaBenchOptions, llamaBenchParameters } from './support/llama-bench.ts';
import { buildLlamaTool } from './support/llama-tool.ts';
import { wide, wordPrompt } from './support/models.ts';
import { moebiusCommand } from './support/paths.ts';

const execute = promisify(execFile);
const PROMPT = 512;
const GENERATE = 64;
const BATCH = 512;
const DISK_READ = 2 << 20;
const DISK_READERS = 4;
const CGROUP = '/sys/fs/cgroup/memory/moebius-bench';

interface Run {
  /** tokens per second */
  prefill: number;
  decode: number;
  /** what the disk allows: bytes missed over its bandwidth, ours only */
  prefillLimit: number;
  decodeLimit: number;
}

const benchmark: Benchmark = {
  description: 'a MoE of 4.3 GB with the routing of tiny-moe in a memory cgroup of half its size, against the memory map of llama.cpp and the disk’s limit',
  async run(context) {
    const model = wide(context.log);
    const program = await buildLlamaTool('llama-bench', context.log);
    makeCgroup(Math.floor(statSync(model).size / 2));
    try {
      return await compare(program, model, context);
    } finally {
      rmdirSync(CGROUP);
    }
  },
};
export default benchmark;

function makeCgroup(bytes: number): void {
  if (!existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes')) {
    throw new Error('This benchmark needs the memory controller of cgroup v1 (Linux) and root.');
  }
  mkdirSync(CGROUP, { recursive: true });
  writeFileSync(join(CGROUP, 'memory.limit_in_bytes'), String(bytes));
}

/** Runs a program in the cgroup, with nothing of the model in the page cache. */
async function inCgroup(model: string, command: string, parameters: string[]): Promise<string> {
  await execute('dd', [`if=${model}`, 'iflag=nocache', 'count=0']);
  const script = `echo $$ > ${CGROUP}/cgroup.procs && exec "$0" "$@"`;
  return (await execute('sh', ['-c', script, command, ...parameters], { maxBuffer: 64 << 20 })).stdout;
}

/** Bytes per second past the page cache, as many reads at a time and of the size that the engine has. */
async function diskBandwidth(model: string): Promise<number> {
  const share = Math.floor(statSync(model).size / DISK_READERS / DISK_READ);
  const count = Math.min(share, 200);
  const read = (index: number) => execute('dd', [`if=${model}`, 'of=/dev/null', 'iflag=direct', `bs=${DISK_READ}`, `count=${count}`, `skip=${index * share}`]);
  const start = performance.now();
  await Promise.all(Array.from({ length: DISK_READERS }, (_, index) => read(index)));
  return (DISK_READERS * count * DISK_READ * 1000) / (performance.now() - start);
}

const parametersOf = (model: string, threads: number, generate: number, seed: number) =>
  ['generate', model, '--threads', threads, '--batch', BATCH, '--sequences', 1, '--context', PROMPT + GENERATE, '--gpu-layers', 0, '--temperature', 0.8]
    .map(String)
    .concat(['--seed', '7', '--ignore-eos', '--json', '--max-tokens', String(generate), '--prompt', wordPrompt(PROMPT, seed)]);

interface Report {
  tokens: number;
  promptMs: number;
  decodeMs: number;
  tokensPerSecond: number;
  promptTokensPerSecond: number;
  expertStore: { bytesRead: number; misses: number; diskBytes: number } | null;
}

async function ours(model: string, threads: number, seed: number): Promise<Run> {
  const generate = async (tokens: number): Promise<Report> =>
    JSON.parse(await inCgroup(model, process.execPath, [moebiusCommand, ...parametersOf(model, threads, tokens, seed)]));
  const prompt = await generate(1);
  const whole = await generate(GENERATE);
  const bandwidth = await diskBandwidth(model);
  if (!prompt.expertStore || !whole.expertStore) throw new Error('The model was loaded whole: it is not larger than the memory.');
  const decodeBytes = Math.max(0, whole.expertStore.bytesRead - prompt.expertStore.bytesRead);
  return {
    prefill: whole.promptTokensPerSecond,
    decode: whole.tokensPerSecond,
    prefillLimit: (PROMPT * bandwidth) / prompt.expertStore.bytesRead,
    decodeLimit: ((GENERATE - 1) * bandwidth) / Math.max(1, decodeBytes),
  };
}

async function baseline(program: string, model: string, threads: number): Promise<Run> {
  const test = { model, threads, batch: BATCH };
  const speed = async (options: LlamaBenchOptions): Promise<number> => {
    const [result] = JSON.parse(await inCgroup(model, program, [...llamaBenchParameters(options), '--no-warmup']));
    return result.avg_ts;
  };
  return {
    prefill: await speed({ ...test, prompt: PROMPT, generate: 0, depth: 0 }),
    decode: await speed({ ...test, prompt: 0, generate: GENERATE, depth: 0 }),
    prefillLimit: 0,
    decodeLimit: 0,
  };
}

async function compare(program: string, model: string, { threads, runs, log, command }: BenchContext): Promise<Case[]> {
  command('ours, in the cgroup', ['moebius', ...parametersOf(model, threads, GENERATE, 0).slice(0, -1), `(${PROMPT} random words)`]);
  command('baseline, in the cgroup', [
    'llama-bench',
    ...llamaBenchParameters({ model, threads, batch: BATCH, prompt: 0, generate: GENERATE, depth: 0 }),
    '--no-warmup',
  ]);
  const report = (side: string, run: Run) => {
    log(
      `  ${side}: prefill ${run.prefill.toFixed(1)} (disk allows ${run.prefillLimit.toFixed(1)}), decode ${run.decode.toFixed(2)} (${run.decodeLimit.toFixed(2)}) tokens/s`,
    );
    return run;
  };
  const [us, them] = await alternate(runs, [
    async (run) => report(`ours ${run + 1}`, await ours(model, threads, run)),
    async (run) => report(`llama-bench ${run + 1}`, await baseline(program, model, threads)),
  ]);
  const values = (side: Run[], key: keyof Run) => side.map((run) => run[key]);
  return [
    toCase({ case: `prefill ${PROMPT} against the memory map`, ours: values(us, 'prefill'), baseline: values(them, 'prefill'), unit: 'tokens/s', bar: 2 }),
    toCase({ case: `decode ${GENERATE} against the memory map`, ours: values(us, 'decode'), baseline: values(them, 'decode'), unit: 'tokens/s', bar: 3 }),
    toCase({ case: 'decode against the disk’s limit', ours: values(us, 'decode'), baseline: values(us, 'decodeLimit'), unit: 'tokens/s', bar: 0.8 }),
  ];
}
