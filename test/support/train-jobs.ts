// A short job of `moebius train` on the shipped model, for tests.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const STEPS = 8;
export const roman = join(import.meta.dirname, '../data/datasets/roman-numerals.jsonl');

/** The job's file; its run is in a folder of this name beside it. */
export function writeTrainJob(folder: string, name: string, changes: object = {}): string {
  const path = join(folder, `${name}.json`);
  const job = {
    data: { files: [roman], validation: 0.2, maxTokens: 128 },
    folder: name,
    adapter: { attention: { loraRank: 4 }, experts: { loraRank: 4 } },
    schedule: { kind: 'linear', steps: STEPS, learningRate: 3e-3, warmupSteps: 1 },
    batchTokens: 256,
    validateEvery: 4,
    saveEvery: 2,
    saveFirst: true,
    threads: 1,
    ...changes,
  };
  writeFileSync(path, JSON.stringify(job));
  return path;
}

export const checkpointOf = (folder: string, name: string, step: number) =>
  join(folder, name, 'checkpoints', `step-${String(step).padStart(8, '0')}.checkpoint`);
