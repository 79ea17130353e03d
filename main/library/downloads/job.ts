// One download from its first byte to its published files.
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { MoebiusError } from '../../contract/index.ts';
import type { HubClient } from '../hub/hub-client.ts';
import type { HubHttp } from '../hub/hub-http.ts';
import { diskFull, fileBytes } from './partial-file.ts';
import { type DownloadPart, type DownloadRecord, totalBytes } from './parts.ts';
import { downloadPath, partialPath } from './paths.ts';
import { publishParts, sha256OfFile, verifyPart } from './publish.ts';
import { SourceChanged, type TransferTuning, transferPart } from './transfer.ts';

export interface Job {
  record: DownloadRecord;
  hub: HubClient;
  http: HubHttp;
  hubUrl: string;
  tuning: TransferTuning;
  signal: AbortSignal;
  /** stores the record */
  save(): Promise<void>;
  /** bytes transferred; while verifying: bytes read back of all parts */
  onBytes(bytes: number): void;
  onState(state: 'running' | 'verifying'): Promise<void>;
}

/** A file that changes on the hub while it is downloaded is begun again this often. */
const maximumRounds = 3;

function fileOf(record: DownloadRecord, part: DownloadPart): string {
  return downloadPath(record.folder, record.repository, part.path);
}

/** Bytes that are there already, in partial or finished files. */
export async function bytesOnDisk(record: DownloadRecord): Promise<number> {
  const sizes = await Promise.all(record.parts.map((part) => (part.verified ? part.bytes : fileBytes(partialPath(fileOf(record, part))))));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

export async function deletePartials(record: DownloadRecord): Promise<void> {
  for (const part of record.parts) await rm(partialPath(fileOf(record, part)), { force: true });
}

/** Resolves with the path of the (first) file, published, when every byte of every part has been checked. */
export async function runJob(job: Job): Promise<string> {
  for (let round = 1; ; round += 1) {
    try {
      await recheckParts(job);
      await checkSpace(job);
      for (const part of job.record.parts) if (!part.verified) await fetchPart(job, part);
      const files = job.record.parts.map((part) => fileOf(job.record, part));
      await publishParts(files);
      return files[0] ?? job.record.file;
    } catch (error) {
      if (!(error instanceof SourceChanged)) throw error;
      if (round >= maximumRounds) {
        throw new MoebiusError(
          'download.corrupt',
          `The hub does not send the file that it announces: ${error.message}. It was begun ${round} times. Try again later.`,
          {
            details: { file: job.record.file, rounds: round, reason: error.message },
            cause: error,
          },
        );
      }
      await beginAgain(job);
    }
  }
}

/** What was verified must still be there; what is there under its final name, and is the same, need not come again. */
async function recheckParts(job: Job): Promise<void> {
  for (const part of job.record.parts) {
    const file = fileOf(job.record, part);
    const [partial, finished] = await Promise.all([fileBytes(partialPath(file)), fileBytes(file)]);
    if (part.verified) part.verified = partial === part.bytes || finished === part.bytes;
    else if (partial === 0 && finished === part.bytes && part.sha256 !== null) {
      await job.onState('verifying');
      part.verified = (await sha256OfFile(file, job.signal, job.onBytes)) === part.sha256;
    }
  }
  await job.save();
}

async function checkSpace(job: Job): Promise<void> {
  const { record, tuning } = job;
  const folder = path.dirname(fileOf(record, { path: record.file, bytes: 0, sha256: null, etag: null, verified: false }));
  await mkdir(folder, { recursive: true });
  const needed = totalBytes(record) - (await bytesOnDisk(record));
  const free = await tuning.disk.freeBytes(folder);
  if (needed > free) throw diskFull(folder, needed, free);
}

async function fetchPart(job: Job, part: DownloadPart): Promise<void> {
  const { record, signal, tuning } = job;
  const partial = partialPath(fileOf(record, part));
  const others = (await bytesOnDisk(record)) - (await fileBytes(partial));
  const onBytes = (bytes: number) => job.onBytes(others + bytes);
  await job.onState('running');
  const url = job.hub.fileUrl(record.repository, part.path);
  await transferPart({ http: job.http, hubUrl: job.hubUrl, url, part, partial, tuning, signal, onBytes, onEtag: job.save });
  await job.onState('verifying');
  try {
    await verifyPart(part, partial, signal, onBytes);
  } catch (error) {
    part.etag = null;
    throw error;
  }
  part.verified = true;
  await job.save();
}

/** The hub is asked again what the file is now, and nothing of the old one is kept. */
async function beginAgain(job: Job): Promise<void> {
  const now = await job.hub.parts(job.record.repository, job.record.file);
  await deletePartials(job.record);
  job.record.parts = now.map((part) => ({ ...part, etag: null, verified: false }));
  await job.save();
}
