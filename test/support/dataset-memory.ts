// Very short rows through `moebius dataset --encode`, as a user runs it, and what the command and its engine take meanwhile.
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { DatasetReport } from '../../main/contract/datasets.ts';
import { moebiusCommand } from './moebius.ts';

/** for node, the engine and its vocabulary, bytes */
export const PROMISED = 500e6;

/** Texts of some bytes, all different. */
export async function writeShortRows(path: string, rows: number, first: number): Promise<void> {
  const out = createWriteStream(path);
  const isCsv = path.endsWith('.csv');
  if (isCsv) out.write('text\n');
  for (let row = first; row < first + rows; row++) {
    const word = row.toString(16);
    if (!out.write(isCsv ? `${word}\n` : `{"text":"${word}"}\n`)) await new Promise((resolve) => out.once('drain', resolve));
  }
  await new Promise<void>((resolve) => out.end(() => resolve()));
}

/** `peak`: of both processes, each at its largest; 0 where the system does not tell. */
export async function encodeMeasured(files: string[], folder: string): Promise<{ report: DatasetReport; peak: number }> {
  const [command, program] = moebiusCommand;
  const child = spawn(command, [program, 'dataset', ...files, '--format', 'text', '--encode', folder, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)];
  const peaks = new Map<number, number>();
  while (child.exitCode === null && child.signalCode === null) {
    for (const id of [child.pid ?? 0, ...(await childrenOf(child.pid ?? 0))]) peaks.set(id, Math.max(peaks.get(id) ?? 0, await peakOf(id)));
    await setTimeout(100);
  }
  if (child.exitCode !== 0) throw new Error(`moebius dataset ended with ${child.exitCode ?? child.signalCode}: ${await stderr}`);
  return { report: DatasetReport.parse(JSON.parse(await stdout)), peak: [...peaks.values()].reduce((sum, each) => sum + each, 0) };
}

async function childrenOf(id: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${id}/task`).catch(() => []);
  const lists = await Promise.all(tasks.map((task) => readFile(join(`/proc/${id}/task`, task, 'children'), 'utf8').catch(() => '')));
  return lists.join(' ').split(' ').filter(Boolean).map(Number);
}

async function peakOf(id: number): Promise<number> {
  const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
}
