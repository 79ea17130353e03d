// A whole fine-tuning run, held against the same one in PyTorch (test/reference/training/README.md): two tasks that tiny-moe was never shown, a tenth of the examples held out.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyModel } from '../support/engine.ts';
import { heldOut, rightAnswers } from '../support/held-out.ts';
import { moebius } from '../support/moebius.ts';
import { stepsOf, validationsOf } from '../support/training-events.ts';

const SECONDS = 600;
/** of PyTorch's final validation loss */
const MOST = 1.05;
/** Shares of the held-out questions that the tuned model is to answer to the letter: about half of those measured, for single answers tip with the number of threads. */
const RIGHT = { roman: 0.45, pigLatin: 0.15 };

let folder: string;
let seconds: number;
let output: string;
beforeAll(
  async () => {
    folder = mkdtempSync(join(tmpdir(), 'moebius-fine-tune-'));
    cpSync(join(import.meta.dirname, '../data/finetune'), folder, { recursive: true });
    const began = performance.now();
    const { code, stdout, stderr } = await moebius(['train', '--config', join(folder, 'job.json'), '--json']);
    seconds = (performance.now() - began) / 1000;
    expect([code, stderr]).toEqual([0, '']);
    output = stdout;
  },
  2 * SECONDS * 1000,
);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it(`ends within ${SECONDS} seconds`, () => expect(seconds).toBeLessThan(SECONDS));

it('reaches the validation loss of PyTorch', () => {
  const pytorch = readFileSync(join(folder, 'pytorch.jsonl'), 'utf8');
  const [ours, theirs] = [validationsOf(output), validationsOf(pytorch)];
  expect(ours.length).toBe(theirs.length);
  expect(stepsOf(output).map(({ tokens }) => tokens)).toEqual(stepsOf(pytorch).map(({ tokens }) => tokens));
  expect(ours.at(-1)).toBeLessThan((theirs.at(-1) ?? 0) * MOST);
});

it('answers held-out questions that the base cannot', async () => {
  const steps = String(stepsOf(output).length).padStart(8, '0');
  const merged = join(folder, 'merged.gguf');
  expect(await moebius(['export', join(folder, `run/checkpoints/step-${steps}.checkpoint`), merged, '--format', 'merged', '--type', 'f16'])).toMatchObject({
    code: 0,
  });
  const questions = heldOut(join(folder, 'run/data'));
  const [before, after] = [await rightAnswers(tinyModel, questions), await rightAnswers(merged, questions)];
  const [ofRoman = 0, ofPigLatin = 0] = questions.map(({ length }) => length);
  console.log(
    `right before and after, of ${ofRoman} Roman numerals: ${before[0]}, ${after[0]}; of ${ofPigLatin} in pig latin: ${before[1]}, ${after[1]}; ${Math.round(seconds)} s`,
  );
  expect(after[0]).toBeGreaterThan(ofRoman * RIGHT.roman);
  expect(after[1]).toBeGreaterThan(ofPigLatin * RIGHT.pigLatin);
  expect(before[0]).toBeLessThan(ofRoman * 0.01);
  expect(before[1]).toBeLessThan(ofPigLatin * 0.01);
}, 600_000);
