// One writer per database, kept by the operating system.
import { StorageError } from './errors.ts';
import { acquireProcessLock, type ProcessLock } from './process-lock.ts';

export type WriterLock = ProcessLock;

/** Throws `storage.locked` while another connection, in this process or another one, holds it. */
export function acquireWriterLock(databasePath: string): WriterLock {
  const lock = acquireProcessLock(`${databasePath}.lock`);
  if (lock !== null) return lock;
  const message = `Another Moebius is using ${databasePath}. Close it first, or start this one with another data folder.`;
  throw new StorageError('storage.locked', message, { path: databasePath });
}
