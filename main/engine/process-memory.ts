// What a process has in memory, where the system tells.
import { readFile } from 'node:fs/promises';

/** Resident bytes; null: no such process, or a system without /proc. */
export async function processMemory(processId: number | null): Promise<number | null> {
  if (processId === null) return null;
  const status = await readFile(`/proc/${processId}/status`, 'utf8').catch(() => '');
  const kibibytes = /^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
