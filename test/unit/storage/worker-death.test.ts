import type { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openDatabase } from '../../../main/storage/open.ts';
import { scratchDatabasePath } from './scratch.ts';

const workers = vi.hoisted(() => [] as Worker[]);
vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>();
  class RecordedWorker extends real.Worker {
    constructor(...parameters: ConstructorParameters<typeof real.Worker>) {
      super(...parameters);
      workers.push(this);
    }
  }
  return { ...real, Worker: RecordedWorker };
});

afterEach(() => {
  workers.length = 0;
});

describe('when the database thread ends', () => {
  it('fails what is waiting and everything later with a clear error, and close still works', async () => {
    const database = await openDatabase(scratchDatabasePath());
    const slow = database.get('WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1e7) SELECT count(*) FROM n');
    const failure = expect(slow).rejects.toMatchObject({ code: 'storage.failed', message: expect.stringContaining('ended unexpectedly') });
    await workers[0]?.terminate();
    await failure;
    await expect(database.get('SELECT 1')).rejects.toMatchObject({ code: 'storage.failed' });
    await database.close();
  });

  it('lets the database be opened again', async () => {
    const path = scratchDatabasePath();
    await openDatabase(path);
    await workers[0]?.terminate();
    await (await openDatabase(path)).close();
  });
});
