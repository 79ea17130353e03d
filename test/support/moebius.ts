// The `moebius` command as a user runs it, in a process of its own.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { WorkProgress } from '../../main/cli/progress.ts';

export const moebiusCommand: [string, string] = [process.execPath, join(import.meta.dirname, '../../main/cli/moebius.mjs')];

export function moebius(args: string[], input = ''): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const [command, program] = moebiusCommand;
    const child = spawn(command, [program, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(input);
  });
}

/** JSON lines of a command that tells how far it is, and its result last. */
export function linesOf<Result = unknown>(stdout: string): { progress: (WorkProgress & { event: string })[]; result: Result } {
  const lines = stdout.trim().split('\n');
  const result: Result = JSON.parse(lines.pop() ?? '');
  return { progress: lines.map((line) => JSON.parse(line)), result };
}
