// One process trains in a folder at a time: two would write each other's steps and checkpoints.
import { mkdir } from 'node:fs/promises';
import { MoebiusError } from '../../contract/errors.ts';
import { acquireProcessLock, type ProcessLock } from '../../storage/process-lock.ts';
import { runFiles } from './run-folder.ts';

/** Makes the folder, too. Throws training.busy while another one has it, file.unwritable. */
export async function lockRun(folder: string): Promise<ProcessLock> {
  const lock = await locked(folder);
  if (lock !== null) return lock;
  const message = `A run is at work in ${folder} already. Wait for its end or stop it, or name another folder.`;
  throw new MoebiusError('training.busy', message, { details: { folder } });
}

async function locked(folder: string): Promise<ProcessLock | null> {
  try {
    await mkdir(folder, { recursive: true });
    return acquireProcessLock(runFiles(folder).lock);
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new MoebiusError('file.unwritable', `The run's folder ${folder} cannot be made or written to: ${reason}. Name another one.`, {
      details: { path: folder },
      cause: error,
    });
  }
}
