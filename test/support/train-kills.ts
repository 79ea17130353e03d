// Promise 6: `moebius train` is killed at random points, also inside a save, and what comes out in the end is that of a run that nobody disturbed.
// MOEBIUS_KILL_SEED repeats one: it is printed.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunEvent } from '../../main/contract/index.ts';
import { moebius, moebiusCommand } from './moebius.ts';
import { Random } from './random.ts';
import { checkpointOf, roman, STEPS, writeTrainJob } from './train-jobs.ts';

const SEED = Number(process.env.MOEBIUS_KILL_SEED ?? Date.now() % 1_000_000);
const SECONDS_PER_LIFE = 30;

let folder: string;

function writeJob(name: string): string {
  return writeTrainJob(folder, name, {
    data: { files: [roman], validation: 0.2, maxTokens: 96 },
    adapter: { attention: { loraRank: 2 }, experts: { loraRank: 2 } },
    schedule: { kind: 'cosine', steps: STEPS, learningRate: 3e-3, warmupSteps: 2 },
    batchTokens: 128,
    validateEvery: 3,
    saveEvery: 1,
    saveFirst: false,
  });
}

/** With its engine: they are one group. */
function begin(name: string): ChildProcess {
  const [command, program] = moebiusCommand;
  return spawn(command, [program, 'train', '--config', writeJob(name), '--json'], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
}

type Point = { after: 'start' | 'step' | 'save'; count: number; milliseconds: number };

function pointOf(random: Random): Point {
  const kind = random.below(5);
  const [count, milliseconds] = [1 + random.below(3), random.below(200)];
  if (kind === 0) return { after: 'start', count, milliseconds: milliseconds * 10 };
  return kind < 3 ? { after: 'step', count, milliseconds } : { after: 'save', count, milliseconds: 0 };
}

/** Resolves when the point is reached: so many steps told, or so many files of checkpoints begun. */
async function reached(child: ChildProcess, name: string, { after, count, milliseconds }: Point, signal: AbortSignal): Promise<void> {
  let seen = 0;
  if (after === 'step' && child.stdout) {
    for await (const line of createInterface({ input: child.stdout })) if (JSON.parse(line).event === 'step' && ++seen === count) break;
  } else if (after === 'save') {
    const checkpoints = join(folder, name, 'checkpoints');
    mkdirSync(checkpoints, { recursive: true });
    await new Promise<void>((resolve) => {
      const watcher = watch(checkpoints, { signal }, (_, file) => {
        if (file !== null && !file.endsWith('.checkpoint') && ++seen === count) resolve();
      });
      watcher.on('error', () => undefined); // it is over
      watcher.on('close', () => resolve());
    });
  }
  await sleep(milliseconds);
}

/** One life; true: it came to its end before it was killed. `half`: a file of a checkpoint that was being written stayed behind. */
async function live(name: string, point: Point): Promise<{ done: boolean; half: boolean }> {
  const began = Date.now();
  const child = begin(name);
  const over = new AbortController();
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  void exit.then(() => over.abort());
  await Promise.race([exit, reached(child, name, point, over.signal)]);
  if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  const code = await exit;
  expect([0, null]).toContain(code); // it may end by itself, and may not fail
  const checkpoints = join(folder, name, 'checkpoints');
  const left = existsSync(checkpoints) ? readdirSync(checkpoints).filter((file) => !file.endsWith('.checkpoint')) : [];
  return { done: code === 0, half: left.some((file) => statSync(join(checkpoints, file)).mtimeMs > began) };
}

/** Of steps that were done twice the later time counts. */
function told(name: string): { losses: (number | null)[]; validations: (number | null)[] } {
  const [losses, validations]: [(number | null)[], (number | null)[]] = [[], []];
  for (const line of readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8').split('\n')) {
    if (!line.endsWith('}')) continue; // half a line
    const event: RunEvent = JSON.parse(line);
    if (event.event === 'step') losses[event.step] = event.loss;
    if (event.event === 'validation') validations[event.step] = event.loss;
  }
  return { losses, validations };
}

async function adapterHash(name: string): Promise<string> {
  const file = join(folder, `${name}.gguf`);
  const { code, stderr } = await moebius(['export', checkpointOf(folder, name, STEPS), file]);
  expect([code, stderr]).toEqual([0, '']);
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** The test, with so many kills. */
export function trainingSurvives(kills: number): void {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'moebius-kills-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(`comes out the same however often it is killed (${kills} kills, seed ${SEED})`, { timeout: (kills + 10) * SECONDS_PER_LIFE * 1000 }, async () => {
    console.log(`MOEBIUS_KILL_SEED=${SEED}`);
    const random = new Random(SEED);
    await runToEnd('whole');
    const [whole, hash] = [told('whole'), await adapterHash('whole')];
    expect(whole.losses).toHaveLength(STEPS + 1);
    let [killed, run, halves] = [0, 0, 0];
    while (killed < kills) {
      const name = `killed-${run++}`;
      let done = false;
      while (!done && killed < kills) {
        const point = pointOf(random);
        const life = await live(name, point);
        done = life.done;
        if (!done) killed += 1;
        if (life.half) halves += 1;
      }
      if (!done) await runToEnd(name);
      expect([name, told(name), await adapterHash(name)]).toEqual([name, whole, hash]);
      rmSync(join(folder, name), { recursive: true });
    }
    console.log(`${killed} kills in ${run} runs, ${halves} times inside a save`);
  });
}

async function runToEnd(name: string): Promise<void> {
  const { code, stderr } = await moebius(['train', '--config', writeJob(name), '--json']);
  expect([code, stderr]).toEqual([0, '']);
}
