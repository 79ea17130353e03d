// What the lossy modes of experts on disk cost in quality and save in reads: tiny-moe, a token at a time, against itself without them. Nothing is timed.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withEngine } from '../../main/cli/engine-session.ts';
import type { LossyExperts } from '../../main/contract/index.ts';
import type { Engine } from '../../main/engine/engine.ts';
import type { Benchmark, Case } from './support/benchmark.ts';
import { tinyModel } from './support/paths.ts';
import { prompts } from './support/traced-models.ts';

/** Bytes of RAM that hold about a quarter of the experts. */
const RAM = 6_500_000;
/** Tokens that the model goes on with, of each prompt. */
const REPLY = 96;

interface Mode {
  name: string;
  lossy: LossyExperts;
  /** most that the perplexity may grow to, times that of the lossless run */
  perplexity: number;
  /** least that the lossless run reads, times the bytes of this one: some less than was seen, since what is missed hangs on the texts */
  reads: number;
}

const modes: Mode[] = [
  { name: 'Q4_0 above 0.5', lossy: { lowPrecision: { type: 'q4_0', above: 0.5 } }, perplexity: 1.01, reads: 1.3 },
  { name: 'Q2_K above 0.5', lossy: { lowPrecision: { type: 'q2_k', above: 0.5 } }, perplexity: 1.01, reads: 1.5 },
  { name: 'Q2_K above 0.6', lossy: { lowPrecision: { type: 'q2_k', above: 0.6 } }, perplexity: 1.01, reads: 1.25 },
  { name: 'Q2_K above 0.7', lossy: { lowPrecision: { type: 'q2_k', above: 0.7 } }, perplexity: 1.01, reads: 1.1 },
  { name: 'skipping, budget 0.01', lossy: { skip: { budget: 0.01 } }, perplexity: 1.02, reads: 1.3 },
  { name: 'skipping, budget 0.03', lossy: { skip: { budget: 0.03 } }, perplexity: 1.03, reads: 1.8 },
  { name: 'skipping, budget 0.1', lossy: { skip: { budget: 0.1 } }, perplexity: 1.05, reads: 2.5 },
];

interface Measured {
  /** of each text, [tokens][vocabulary] */
  logits: Float32Array[];
  bytesPerToken: number;
  low: number;
  skipped: number;
}

const benchmark: Benchmark = {
  description: 'experts on disk at low precision or left out: perplexity and bytes read per token against the same model without',
  async run({ log, command }) {
    const folder = mkdtempSync(join(tmpdir(), 'moebius-bench-lossy-'));
    const model = join(folder, 'model.gguf');
    copyFileSync(tinyModel, model);
    try {
      return await withEngine(async (engine) => {
        const { calibration, texts } = await write(engine, model);
        await calibrate(engine, model, calibration);
        const exact = await measure(engine, model, texts, {});
        log(`  lossless: perplexity ${perplexity(texts, exact).toFixed(3)}, ${exact.bytesPerToken.toFixed(0)} bytes read per token`);
        const cases: Case[] = [];
        for (const mode of modes) {
          command(mode.name, ['moebius', 'generate', 'model.gguf', '--expert-ram', String(RAM), '-b', '1', JSON.stringify(mode.lossy)]);
          cases.push(...toCases(mode, texts, exact, await measure(engine, model, texts, mode.lossy), log));
        }
        return cases;
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};
export default benchmark;

/** Token ids of what the model writes behind the prompts: with one seed to calibrate on, with another to judge by. */
async function write(engine: Engine, path: string): Promise<{ calibration: string; texts: number[][] }> {
  const { model } = await engine.call('model.load', { path, options: { devices: [], threads: 1, sequences: 1, contextLength: 512, expertRamBytes: 0 } });
  const texts: number[][] = [];
  let calibration = '';
  for (const prompt of prompts) {
    for (const seed of [1, 2]) {
      const { tokens } = await engine.call('model.tokenize', { model, text: prompt });
      const text = [...tokens];
      const sampling = { seed, temperature: 0.8 };
      await engine.call(
        'generate',
        { model, tokens, sampling, maxTokens: REPLY, ignoreEndOfGeneration: true },
        { onTokens: (next) => text.push(...next.map(({ id }) => id)) },
      );
      if (seed === 2) texts.push(text);
      else calibration += (await engine.call('model.detokenize', { model, tokens: text })).text;
    }
  }
  await engine.call('model.unload', { model });
  return { calibration, texts };
}

async function calibrate(engine: Engine, path: string, text: string): Promise<void> {
  const { model } = await engine.call('model.load', { path, options: { devices: [], threads: 1, expertRamBytes: 30_000_000 } });
  await engine.call('experts.calibrate', { model, text });
  await engine.call('model.unload', { model });
}

/** Every token of the texts by itself, as it would be generated. */
async function measure(engine: Engine, path: string, texts: number[][], lossyExperts: LossyExperts): Promise<Measured> {
  const options = { devices: [], threads: 1, sequences: 1, contextLength: 512, batch: 1, expertRamBytes: RAM, expertPrefetch: 'off' as const };
  const { model } = await engine.call('model.load', { path, options });
  await engine.call('experts.configure', { model, lossyExperts });
  await copiesAreThere(engine, model);
  const read = async () => {
    const { store } = await engine.call('experts.status', { model });
    return { store, bytes: (store?.bytesRead ?? 0) + (store?.lossy?.lowPrecisionCopies?.bytesRead ?? 0) };
  };
  const before = await read();
  const logits: Float32Array[] = [];
  for (const tokens of texts) {
    await engine.call('model.logits', { model, tokens, all: true }, { onLogits: (frame) => logits.push(frame.logits) });
  }
  const { store, bytes } = await read();
  await engine.call('model.unload', { model });
  const uses = store?.lossy ?? { assignments: 1, lowPrecision: 0, skipped: 0 };
  return {
    logits,
    bytesPerToken: (bytes - before.bytes) / texts.reduce((sum, tokens) => sum + tokens.length, 0),
    low: uses.lowPrecision / Math.max(1, uses.assignments),
    skipped: uses.skipped / Math.max(1, uses.assignments),
  };
}

async function copiesAreThere(engine: Engine, model: number): Promise<void> {
  for (;;) {
    const copies = (await engine.call('experts.status', { model })).store?.lossy?.lowPrecisionCopies;
    if (!copies || copies.state === 'ready') return;
    if (copies.state === 'failed') throw new Error(copies.problem ?? 'there are no copies');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Natural logs of the probabilities in row `row`. */
function logProbabilities(logits: Float32Array, row: number, vocabulary: number): Float64Array {
  const values = Float64Array.from(logits.subarray(row * vocabulary, (row + 1) * vocabulary));
  const most = values.reduce((a, b) => Math.max(a, b));
  const norm = most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return values.map((value) => value - norm);
}

function perplexity(texts: number[][], { logits }: Measured): number {
  let sum = 0;
  let count = 0;
  for (const [i, tokens] of texts.entries()) {
    const all = logits[i] ?? new Float32Array();
    for (let row = 0; row + 1 < tokens.length; row++) {
      sum -= logProbabilities(all, row, all.length / tokens.length)[tokens[row + 1] ?? 0] ?? 0;
      count += 1;
    }
  }
  return Math.exp(sum / count);
}

/** Mean KL divergence of the next-token distribution, nats. */
function divergence(texts: number[][], exact: Measured, lossy: Measured): number {
  let sum = 0;
  let count = 0;
  for (const [i, tokens] of texts.entries()) {
    const [p, q] = [exact.logits[i] ?? new Float32Array(), lossy.logits[i] ?? new Float32Array()];
    for (let row = 0; row < tokens.length; row++) {
      const logP = logProbabilities(p, row, p.length / tokens.length);
      const logQ = logProbabilities(q, row, q.length / tokens.length);
      sum += logP.reduce((all, value, j) => all + Math.exp(value) * (value - (logQ[j] ?? 0)), 0);
      count += 1;
    }
  }
  return sum / count;
}

function toCases(mode: Mode, texts: number[][], exact: Measured, lossy: Measured, log: (text: string) => void): Case[] {
  const [before, after] = [perplexity(texts, exact), perplexity(texts, lossy)];
  const harm = divergence(texts, exact, lossy);
  const percent = (share: number) => `${(share * 100).toFixed(1)}%`;
  log(
    `  ${mode.name}: perplexity ${after.toFixed(3)} (${percent(after / before - 1)} more), KL ${harm.toFixed(4)}; ${lossy.bytesPerToken.toFixed(0)} bytes read per token ` +
      `(${percent(lossy.bytesPerToken / exact.bytesPerToken)}); ${percent(lossy.low)} at low precision, ${percent(lossy.skipped)} left out`,
  );
  const toCase = (label: string, unit: string, ours: number, baseline: number, bar: number): Case => {
    const ratio = baseline / ours;
    return { case: `${mode.name}, ${label}`, ours, baseline, unit, ratio, bar, ok: ratio >= bar };
  };
  const budget = mode.lossy.skip?.budget;
  return [
    toCase('perplexity', 'perplexity', after, before, 1 / mode.perplexity),
    toCase('bytes read', 'bytes/token', lossy.bytesPerToken, exact.bytesPerToken, mode.reads),
    ...(budget === undefined ? [] : [toCase('harm within the budget', 'nats/token', harm, budget, 1)]),
  ];
}
