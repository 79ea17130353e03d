// A download and the files that it consists of.
import { z } from 'zod';
import type { Download } from '../../contract/index.ts';

/** One file of a download. */
export const DownloadPart = z.object({
  /** in the repository */
  path: z.string(),
  bytes: z.number(),
  /** hex, as the hub states it; null if it gave none */
  sha256: z.string().nullable(),
  /** of the server that the partial file came from; null before the first byte */
  etag: z.string().nullable(),
  /** complete and checked, perhaps not yet under its final name */
  verified: z.boolean(),
});
export type DownloadPart = z.infer<typeof DownloadPart>;

export interface DownloadRecord {
  readonly id: string;
  readonly repository: string;
  /** path in the repository; the first part of a split model */
  readonly file: string;
  /** absolute; the download folder when it was started */
  readonly folder: string;
  state: Download['state'];
  parts: DownloadPart[];
  error: Download['error'];
  modelId: string | null;
  readonly createdAt: number;
}

export function totalBytes(record: DownloadRecord): number {
  return record.parts.reduce((sum, part) => sum + part.bytes, 0);
}
