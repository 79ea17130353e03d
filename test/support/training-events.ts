// Steps and validation losses from JSON lines of a training run: of `moebius train --json`, and of test/reference/training/loop.py.
import { z } from 'zod';

const Step = z.object({ step: z.number(), loss: z.number(), tokens: z.number(), targets: z.number(), gradientNorm: z.number() });
const Validation = z.union([
  z.object({ event: z.literal('validation'), loss: z.number() }).transform(({ loss }) => loss),
  z.object({ validation: z.number() }).transform(({ validation }) => validation),
]);

const parsed = (lines: string): unknown[] =>
  lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

export const stepsOf = (lines: string) => parsed(lines).flatMap((line) => Step.safeParse(line).data ?? []);
export const validationsOf = (lines: string) => parsed(lines).flatMap((line) => Validation.safeParse(line).data ?? []);
