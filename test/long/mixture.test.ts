// MixLoRA on a real dense model: two domains that contradict each other, four experts of which a token uses two, against one LoRA with as many numbers to learn, both at the rate that is best for the latter;
// the merged model is a MoE for stock llama.cpp. A run's loss leaves its plateau sooner or later by chance, so the mean of several counts (native/train/README.md, "MixLoRA").
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { type Language, LORUNE, TAVIK, translations } from '../support/invented-languages.ts';
import { buildLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { linesOf, moebius } from '../support/moebius.ts';
import { smolLm2, Unreachable } from '../support/smollm2.ts';
import { stepsOf, validationsOf } from '../support/training-events.ts';

const STEPS = 160;
/** of the data: which rows come when */
const SEEDS = [1, 2, 3];
/** of each language; the held-out ones are in none of the files that are trained on */
const ROWS = { learnt: 1410, heldOut: 90 };
/** of a language, that the merged model is asked by stock llama-server, and the share of their words that it is to say in their places */
const [QUESTIONS, RIGHT] = [30, 0.4];
const MINUTES = 60_000;

/** What is learnt. The one LoRA is a little larger. */
const SIDES = {
  mixture: { attention: { loraRank: 8, loraAlpha: 64 }, mixture: { loraRank: 8, loraAlpha: 64, expertCount: 4, expertUsedCount: 2 } },
  lora: { attention: { loraRank: 9, loraAlpha: 64 }, ffn: { loraRank: 32, loraAlpha: 64 } },
};
type Side = keyof typeof SIDES;
/** A run, and its last state worked into the base. */
interface Tuned {
  output: string;
  merged: string;
}

const LANGUAGES = [TAVIK, LORUNE];
function rowsOf(language: Language) {
  const rows = translations(language, ROWS.learnt + ROWS.heldOut);
  return { learnt: rows.slice(0, ROWS.learnt), heldOut: rows.slice(ROWS.learnt) };
}

const base = await smolLm2().catch((error: unknown) => {
  if (!(error instanceof Unreachable)) throw error;
  console.warn(`skipped: SmolLM2-135M-Instruct, which is to be tuned, cannot be had: ${error.message}`);
  return null;
});

let folder: string;
const runs: Record<Side, Tuned[]> = { mixture: [], lora: [] };
beforeAll(async () => {
  if (base === null) return;
  folder = mkdtempSync(join(tmpdir(), 'moebius-mixture-'));
  for (const language of LANGUAGES) {
    const { learnt, heldOut } = rowsOf(language);
    writeFileSync(learntFile(language), learnt.join('\n'));
    writeFileSync(heldOutFile(language), heldOut.join('\n'));
  }
  for (const seed of SEEDS) {
    const [mixture, lora] = await Promise.all([tuned('mixture', seed), tuned('lora', seed)]); // a thread each
    runs.mixture.push(mixture);
    runs.lora.push(lora);
  }
}, 90 * MINUTES);
afterAll(() => folder && rmSync(folder, { recursive: true, force: true }));

const learntFile = ({ name }: Language) => join(folder, `${name}.jsonl`);
const heldOutFile = ({ name }: Language) => join(folder, `${name}-held-out.jsonl`);

/** The same for both sides but for what is learnt. */
async function tuned(side: Side, seed: number): Promise<Tuned> {
  const name = join(folder, `${side}-${seed}`);
  const job = {
    model: base,
    data: { files: LANGUAGES.map(learntFile), validation: 0.06, seed, maxTokens: 128 },
    folder: name,
    adapter: SIDES[side],
    schedule: { kind: 'cosine', steps: STEPS, learningRate: 2e-3, warmupSteps: 32 },
    batchTokens: 240,
    validateEvery: 80,
    threads: 1,
  };
  writeFileSync(`${name}.json`, JSON.stringify(job));
  const { code, stdout, stderr } = await moebius(['train', '--config', `${name}.json`, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const merged = `${name}.gguf`;
  const checkpoint = join(name, 'checkpoints', `step-${String(STEPS).padStart(8, '0')}.checkpoint`);
  expect(await moebius(['export', checkpoint, merged, '--format', 'merged', '--type', 'f16'])).toMatchObject({ code: 0 });
  return { output: stdout, merged };
}

const Opened = z.object({ event: z.literal('opened'), parameters: z.number() });
function parametersOf({ output }: Tuned): number {
  const opened = output.split('\n').flatMap((line) => (line ? (Opened.safeParse(JSON.parse(line)).data ?? []) : []));
  return opened[0]?.parameters ?? Number.NaN;
}

it.skipIf(base === null)('learns no more numbers, in steps of as many tokens', () => {
  const tokens = ({ output }: Tuned) => stepsOf(output).map((step) => [step.tokens, step.targets]);
  for (const [run, mixture] of runs.mixture.entries()) {
    const lora = runs.lora[run] ?? expect.fail();
    expect(parametersOf(mixture)).toBeGreaterThan(parametersOf(lora) * 0.99);
    expect(parametersOf(mixture)).toBeLessThanOrEqual(parametersOf(lora));
    expect(tokens(mixture)).toEqual(tokens(lora));
    expect(tokens(mixture).length).toBe(STEPS);
  }
});

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

it.skipIf(base === null)(
  'predicts the two domains better than one LoRA does',
  async () => {
    const losses: Record<Side, number[]> = { mixture: [], lora: [] };
    for (const side of ['mixture', 'lora'] as const) {
      for (const { merged, output } of runs[side]) {
        const ofLanguages: number[] = [];
        for (const language of LANGUAGES) {
          const { stdout } = await moebius(['eval', merged, '--data', heldOutFile(language), '--json']);
          ofLanguages.push(linesOf<{ loss: number }>(stdout).result.loss);
        }
        console.log(`${side}: held-out losses ${ofLanguages.join(' and ')}; in the run ${validationsOf(output).join(', ')}`);
        losses[side].push(mean(ofLanguages));
      }
    }
    expect(mean(losses.mixture)).toBeLessThan(mean(losses.lora));
  },
  20 * MINUTES,
);

const Row = z.object({ messages: z.array(z.object({ role: z.string(), content: z.string() })) });
const Reply = z.object({ choices: z.tuple([z.object({ message: z.object({ content: z.string() }) })]) });

it.skipIf(base === null)(
  'is a MoE that stock llama-server loads and chats with',
  async () => {
    const { merged } = runs.mixture[0] ?? expect.fail();
    const server = await startLlamaServer(await buildLlamaServer(), ['-m', merged, '-c', '512', '-np', '1', '--no-warmup', '-lv', '4']);
    try {
      expect(server.log()).toMatch(/n_expert +=+ 4\b/);
      expect(server.log()).toMatch(/n_expert_used +=+ 2\b/);
      for (const language of LANGUAGES) {
        const words = { all: 0, right: 0 };
        for (const row of rowsOf(language).heldOut.slice(0, QUESTIONS)) {
          const { messages } = Row.parse(JSON.parse(row));
          const expected = messages.pop()?.content.split(' ') ?? [];
          const response = await fetch(`${server.url}/v1/chat/completions`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ messages, max_tokens: 48, temperature: 0 }),
          });
          const said = Reply.parse(await response.json())
            .choices[0].message.content.trim()
            .split(' ');
          words.all += expected.length;
          words.right += expected.filter((word, place) => said[place] === word).length;
        }
        console.log(`stock llama-server says ${words.right} of ${words.all} words of held-out sentences in ${language.name}`);
        expect(words.right).toBeGreaterThan(words.all * RIGHT);
      }
    } finally {
      await server.stop();
    }
  },
  20 * MINUTES,
);
