// 500 seeded mutants of the shipped model through the real engine process: it survives them all, and each ends in an answer
// or a clear error within 5 s. MOEBIUS_MUTANT_SEED starts at another seed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MoebiusError } from '../../main/contract/errors.ts';
import type { EngineSupervisor } from '../../main/engine/supervisor.ts';
import { startEngine, tinyModel } from '../support/engine.ts';
import { type Mutant, MutantMaker } from '../support/gguf-mutants.ts';

const MUTANTS = 500;
const FIRST_SEED = Number(process.env.MOEBIUS_MUTANT_SEED ?? 0);
const MILLISECONDS_EACH = 5000;

/** What a person with a damaged file may be told; `internal` and `engine.died` are not among it. */
const clearCodes = new Set([
  'file.not-gguf',
  'file.version',
  'file.truncated',
  'file.corrupt',
  'file.split-incomplete',
  'model.unsupported',
  'model.load-failed',
  'model.does-not-fit',
  'template.failed',
  'decode.failed',
  'prompt.empty',
]);

let folder: string;
let engine: EngineSupervisor;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'moebius-mutants-'));
  engine = await startEngine();
});
afterAll(async () => {
  await engine?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Loads, generates 4 tokens and unloads. Returns `loaded` or the code of the error. */
async function digest(path: string): Promise<string> {
  const options = { contextLength: 64, sequences: 1, batch: 32, threads: 1, threadsBatch: 1 };
  const { model } = await engine.call('model.load', { path, options });
  try {
    const chat = { messages: [{ role: 'user' as const, content: 'What is a dwarf?' }] };
    const result = await engine.call('generate', { model, chat, maxTokens: 4, sampling: { temperature: 0 }, ignoreEndOfGeneration: true });
    expect(result.tokens).toBe(4);
  } finally {
    await engine.call('model.unload', { model });
  }
  return 'loaded';
}

async function outcomeOf(path: string): Promise<string> {
  try {
    return await digest(path);
  } catch (error) {
    if (!(error instanceof MoebiusError)) throw error;
    return clearCodes.has(error.code) && error.message.length > 15 ? error.code : `${error.code}: ${error.message}`;
  }
}

it(`survives ${MUTANTS} mutants of the model file, each with an answer or a clear error within ${MILLISECONDS_EACH} ms`, { timeout: 600_000 }, async () => {
  const maker = new MutantMaker(tinyModel, join(folder, 'mutant.gguf'));
  const processId = engine.status.processId;
  const outcomes = new Map<string, number>();
  const bad: (Mutant & { outcome: string; milliseconds: number })[] = [];
  for (let seed = FIRST_SEED; seed < FIRST_SEED + MUTANTS; seed++) {
    const mutant = maker.write(seed);
    const start = performance.now();
    const outcome = await outcomeOf(join(folder, 'mutant.gguf'));
    const milliseconds = performance.now() - start;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const clear = outcome === 'loaded' || clearCodes.has(outcome);
    if (!clear || milliseconds > MILLISECONDS_EACH || engine.status.processId !== processId) bad.push({ ...mutant, outcome, milliseconds });
    expect(engine.status.processId, `the engine died of mutant ${seed} (${mutant.kind}): ${outcome}`).toBe(processId);
  }
  expect(bad).toEqual([]);
  // neither are all refused at the door nor are all harmless
  expect(outcomes.get('loaded')).toBeGreaterThan(MUTANTS / 10);
  expect(outcomes.get('file.corrupt')).toBeGreaterThan(MUTANTS / 5);
});
