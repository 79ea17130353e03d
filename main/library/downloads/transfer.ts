// One file from the hub into its partial file, over as many connections as it takes.
import { MoebiusError } from '../../contract/index.ts';
import { delay } from '../concurrency.ts';
import { errorOfStatus, unreachable } from '../hub/hub-errors.ts';
import { ConnectionFault, faultOf, type HubHttp, type HubReply, headerText } from '../hub/hub-http.ts';
import { type DownloadDisk, PartialFile } from './partial-file.ts';
import type { DownloadPart } from './parts.ts';

export interface TransferTuning {
  /** pause before the first retry; doubles with each, up to `maximumDelayMs` */
  retryDelayMs: number;
  maximumDelayMs: number;
  disk: DownloadDisk;
}

export interface Transfer {
  http: HubHttp;
  hubUrl: string;
  url: string;
  part: DownloadPart;
  /** absolute */
  partial: string;
  tuning: TransferTuning;
  signal: AbortSignal;
  /** bytes of the part on disk */
  onBytes(bytes: number): void;
  /** the part's ETag changed and must be stored before bytes are */
  onEtag(): Promise<void>;
}

/** The file on the hub is not the one that this download began with. */
export class SourceChanged extends Error {
  override readonly name = 'SourceChanged';
}

/** Retries in a row that brought no new byte. */
export const maximumRetries = 5;

/** Resolves when the partial file has all its bytes, synced. Rejects with SourceChanged, MoebiusError, or the abort's reason; what was written stays. */
export async function transferPart(transfer: Transfer): Promise<void> {
  const partial = await PartialFile.open(transfer.partial, transfer.part.bytes, transfer.tuning.disk);
  try {
    transfer.onBytes(partial.bytes);
    let retries = 0;
    let most = partial.bytes;
    while (partial.bytes < transfer.part.bytes) {
      try {
        await attempt(transfer, partial);
      } catch (error) {
        if (!(error instanceof ConnectionFault)) throw error;
        retries = partial.bytes > most ? 1 : retries + 1;
        most = Math.max(most, partial.bytes);
        if (retries > maximumRetries)
          throw unreachable(transfer.hubUrl, `${error.message} (${maximumRetries} retries; what was received is kept, so the download can be resumed)`, error);
        await delay(Math.min(transfer.tuning.retryDelayMs * 2 ** (retries - 1), transfer.tuning.maximumDelayMs), transfer.signal);
      }
    }
    await partial.sync();
  } finally {
    await partial.close();
  }
}

async function attempt(transfer: Transfer, partial: PartialFile): Promise<void> {
  const { part, signal } = transfer;
  const start = partial.bytes;
  // If-Range takes strong ETags only.
  const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
  if (start > 0 && part.etag?.startsWith('"')) headers['if-range'] = part.etag;
  const reply = await transfer.http.get(transfer.url, headers, signal);
  try {
    await accept(transfer, partial, reply, start);
    for await (const chunk of reply.body) {
      if (partial.bytes + chunk.length > part.bytes) throw new SourceChanged(`more than the ${part.bytes} bytes that the hub announced`);
      await partial.append(chunk);
      transfer.onBytes(partial.bytes);
    }
  } catch (error) {
    reply.body.on('error', () => undefined).destroy(); // destroying an unread body reports that as an error
    if (error instanceof SourceChanged || isFileSystemError(error)) throw error;
    throw faultOf(error, new URL(transfer.url).host, signal);
  }
  if (partial.bytes < part.bytes) throw new ConnectionFault(`the connection ended after ${partial.bytes} of ${part.bytes} bytes`);
}

/** Decides whether the body goes on where the partial file ends; starts the file again where it does not. */
async function accept(transfer: Transfer, partial: PartialFile, reply: HubReply, start: number): Promise<void> {
  const { part } = transfer;
  if (reply.status === 416) {
    await partial.clear();
    throw new ConnectionFault(`the server has no bytes after ${start}`);
  }
  if (reply.status !== 200 && reply.status !== 206) throw refusal(transfer, reply);
  checkSource(part, reply, start);
  const length = headerText(reply.headers, 'content-length');
  if (reply.status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headerText(reply.headers, 'content-range') ?? '');
    if (!range || Number(range[1]) !== start) {
      await partial.clear();
      throw new ConnectionFault(`the server answered with another range than the one from byte ${start}`);
    }
    if (range[2] !== '*' && Number(range[2]) !== part.bytes) throw new SourceChanged(`${range[2]} bytes instead of ${part.bytes}`);
    return;
  }
  if (length !== null && Number(length) !== part.bytes) throw new SourceChanged(`${length} bytes instead of ${part.bytes}`);
  if (start > 0) await partial.clear(); // the whole file comes, whatever was asked for
  part.etag = headerText(reply.headers, 'etag');
  await transfer.onEtag();
}

function checkSource(part: DownloadPart, reply: HubReply, start: number): void {
  const linked = headerText(reply.hubHeaders, 'x-linked-etag')?.replaceAll('"', '') ?? null;
  if (linked !== null && /^[0-9a-f]{64}$/.test(linked)) {
    if (part.sha256 === null) part.sha256 = linked;
    else if (part.sha256 !== linked) throw new SourceChanged(`sha256 ${linked} instead of ${part.sha256}`);
  }
  const etag = headerText(reply.headers, 'etag');
  if (start > 0 && part.etag !== null && etag !== null && part.etag !== etag) throw new SourceChanged(`ETag ${etag} instead of ${part.etag}`);
}

function refusal(transfer: Transfer, reply: HubReply): Error {
  if (reply.status >= 500 || [408, 425, 429].includes(reply.status)) return new ConnectionFault(`HTTP ${reply.status} for ${transfer.part.path}`);
  return errorOfStatus(reply.status, `file ${transfer.part.path}`, transfer.hubUrl);
}

function isFileSystemError(error: unknown): boolean {
  return error instanceof MoebiusError || (error instanceof Error && 'syscall' in error && (error.syscall === 'write' || error.syscall === 'ftruncate'));
}
