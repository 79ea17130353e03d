// MixLoRA on a real dense model: two domains that share nothing, four experts of which a token uses two, against one LoRA with as many numbers to learn; the merged model is a MoE for stock llama.cpp.
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

const STEPS = 240;
/** of each language; the held-out ones are in none of the files that are trained on */
const ROWS = { learnt: 1410, heldOut: 90 };
/** of a language, that the merged model is asked by stock llama-server, and the share that it is to answer to the letter */
const [QUESTIONS, RIGHT] = [20, 0.5];
const MINUTES = 60_000;
const LANGUAGES = [TAVIK, LORUNE];
const rowsOf = (language: Language) => {
  const rows = translations(language, ROWS.learnt + ROWS.heldOut, 5);
  return { learnt: rows.slice(0, ROWS.learnt), heldOut: rows.slice(ROWS.learnt) };
};

/** What is learnt, and what is left of it as a model. The one LoRA may be a little larger. */
const SIDES = {
  mixture: { attention: { loraRank: 8, loraAlpha: 32 }, mixture: { loraRank: 8, loraAlpha: 32, expertCount: 4, expertUsedCount: 2 } },
  lora: { attention: { loraRank: 9, loraAlpha: 32 }, ffn: { loraRank: 32, loraAlpha: 32 } },
};
type Side = keyof typeof SIDES;

const base = await smolLm2().catch((error: unknown) => {
  if (!(error instanceof Unreachable)) throw error;
  console.warn(`skipped: SmolLM2-135M-Instruct, which is to be tuned, cannot be had: ${error.message}`);
  return null;
});

let folder: string;
const runs = {} as Record<Side, { output: string; merged: string }>;
beforeAll(async () => {
  if (base === null) return;
  folder = mkdtempSync(join(tmpdir(), 'moebius-mixture-'));
  for (const language of LANGUAGES) {
    const { learnt, heldOut } = rowsOf(language);
    writeFileSync(learntFile(language), learnt.join('\n'));
    writeFileSync(heldOutFile(language), heldOut.join('\n'));
  }
  const [mixture, lora] = await Promise.all([tuned('mixture'), tuned('lora')]); // a thread each
  Object.assign(runs, { mixture, lora });
}, 60 * MINUTES);
afterAll(() => folder && rmSync(folder, { recursive: true, force: true }));

const learntFile = ({ name }: Language) => join(folder, `${name}.jsonl`);
const heldOutFile = ({ name }: Language) => join(folder, `${name}-held-out.jsonl`);

/** A run, the same for both sides but for what is learnt, and its last state worked into the base. */
async function tuned(side: Side) {
  const job = {
    model: base,
    data: { files: LANGUAGES.map(learntFile), validation: 0.05, maxTokens: 128 },
    folder: join(folder, side),
    adapter: SIDES[side],
    schedule: { kind: 'cosine', steps: STEPS, learningRate: 3e-3, warmupSteps: 32 },
    batchTokens: 240,
    validateEvery: 80,
    threads: 1,
  };
  const config = join(folder, `${side}.json`);
  writeFileSync(config, JSON.stringify(job));
  const { code, stdout, stderr } = await moebius(['train', '--config', config, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const merged = join(folder, `${side}.gguf`);
  const checkpoint = join(folder, side, 'checkpoints', `step-${String(STEPS).padStart(8, '0')}.checkpoint`);
  expect(await moebius(['export', checkpoint, merged, '--format', 'merged', '--type', 'f16'])).toMatchObject({ code: 0 });
  return { output: stdout, merged };
}

const Opened = z.object({ event: z.literal('opened'), parameters: z.number() });
function parametersOf(output: string): number {
  const opened = output.split('\n').flatMap((line) => (line ? (Opened.safeParse(JSON.parse(line)).data ?? []) : []));
  return opened[0]?.parameters ?? Number.NaN;
}

it.skipIf(base === null)('learns no more numbers, of the same tokens in the same order', () => {
  const { mixture, lora } = runs;
  expect(parametersOf(mixture.output)).toBeGreaterThan(parametersOf(lora.output) * 0.99);
  expect(parametersOf(mixture.output)).toBeLessThanOrEqual(parametersOf(lora.output));
  const tokens = ({ output }: { output: string }) => stepsOf(output).map((step) => [step.tokens, step.targets]);
  expect(tokens(mixture)).toEqual(tokens(lora));
  expect(tokens(mixture).length).toBe(STEPS);
});

it.skipIf(base === null)(
  'predicts both domains better than one LoRA does',
  async () => {
    const losses = async (side: Side) => {
      const of: number[] = [];
      for (const language of LANGUAGES) {
        const { stdout } = await moebius(['eval', runs[side].merged, '--data', heldOutFile(language), '--json']);
        of.push(linesOf<{ loss: number }>(stdout).result.loss);
      }
      return of;
    };
    const mean = (of: number[]) => of.reduce((sum, loss) => sum + loss, 0) / of.length;
    const [mixture, lora] = [await losses('mixture'), await losses('lora')];
    console.log(
      `held-out losses of ${LANGUAGES.map(({ name }) => name).join(' and ')}: mixture ${mixture.join(', ')}, one LoRA ${lora.join(', ')}`,
      `in the runs: mixture ${validationsOf(runs.mixture.output).join(', ')}; one LoRA ${validationsOf(runs.lora.output).join(', ')}`,
    );
    expect(mean(mixture)).toBeLessThan(mean(lora));
    expect(validationsOf(runs.mixture.output).at(-1)).toBeLessThan(validationsOf(runs.lora.output).at(-1) ?? 0);
  },
  10 * MINUTES,
);

const Row = z.object({ messages: z.array(z.object({ role: z.string(), content: z.string() })) });
const Reply = z.object({ choices: z.tuple([z.object({ message: z.object({ content: z.string() }) })]) });

it.skipIf(base === null)(
  'is a MoE that stock llama-server loads and chats with',
  async () => {
    const server = await startLlamaServer(await buildLlamaServer(), ['-m', runs.mixture.merged, '-c', '512', '-np', '1', '--no-warmup']);
    try {
      expect(server.log()).toMatch(/n_expert +=+ 4\b/);
      expect(server.log()).toMatch(/n_expert_used +=+ 2\b/);
      for (const language of LANGUAGES) {
        let right = 0;
        for (const row of rowsOf(language).heldOut.slice(0, QUESTIONS)) {
          const { messages } = Row.parse(JSON.parse(row));
          const answer = messages.pop()?.content;
          const response = await fetch(`${server.url}/v1/chat/completions`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ messages, max_tokens: 48, temperature: 0 }),
          });
          const reply = Reply.parse(await response.json());
          if (reply.choices[0].message.content.trim() === answer) right++;
        }
        console.log(`stock llama-server answers ${right} of ${QUESTIONS} held-out sentences in ${language.name} to the letter`);
        expect(right).toBeGreaterThan(QUESTIONS * RIGHT);
      }
    } finally {
      await server.stop();
    }
  },
  20 * MINUTES,
);
