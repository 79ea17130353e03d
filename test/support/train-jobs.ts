// Short jobs of `moebius train` on the shipped model, for tests.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunEvent } from '../../main/contract/index.ts';
import { moebius } from './moebius.ts';

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

/** Of JSON lines. */
export const eventsOf = (lines: string): RunEvent[] =>
  lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
export const lossesOf = (all: RunEvent[]) => all.flatMap((event) => (event.event === 'step' ? [event.loss] : []));
export const openedOf = (all: RunEvent[]) => all.flatMap((event) => (event.event === 'opened' ? [event] : []))[0];

/** Jobs in a folder of their own, run by the command. */
export class TrainJobs {
  readonly folder: string;

  constructor(name: string) {
    this.folder = mkdtempSync(join(tmpdir(), `moebius-${name}-`));
  }

  write(name: string, changes?: object): string {
    return writeTrainJob(this.folder, name, changes);
  }

  checkpoint(name: string, step: number): string {
    return checkpointOf(this.folder, name, step);
  }

  /** With what was done before the run was opened. Throws when the command fails, or says anything on stderr. */
  async trainFromTheStart(name: string, changes?: object): Promise<RunEvent[]> {
    const { code, stdout, stderr } = await moebius(['train', '--config', this.write(name, changes), '--json']);
    if (code !== 0 || stderr !== '') throw new Error(`moebius train of ${name} ended with ${code}: ${stderr}`);
    return eventsOf(stdout);
  }

  async train(name: string, changes?: object): Promise<RunEvent[]> {
    return (await this.trainFromTheStart(name, changes)).filter(({ event }) => event !== 'preparing');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
