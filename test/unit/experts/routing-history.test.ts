import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RouteRecord } from '../../../main/experts/route-record.ts';
import { RoutingHistory } from '../../../main/experts/routing-history.ts';
import { TraceFile } from '../../../main/experts/trace-reader.ts';
import { routesFrame } from '../../support/engine-double.ts';

const header = { model: 'double', architecture: 'test', moeLayers: [1, 3], expertCount: 4, expertUsedCount: 2 };
const ids = (first: number, count: number) => Array.from({ length: count }, (_, index) => first + index);

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'moebius-history-')), 'folder', 'a.moetrace');
});
afterEach(() => rmSync(join(path, '..', '..'), { recursive: true }));

async function saved(history: RoutingHistory): Promise<RouteRecord[]> {
  await history.save(path);
  const records: RouteRecord[] = [];
  for await (const record of new TraceFile(path)) records.push(record);
  return records;
}

it('keeps which experts were used, cut into prompt and reply, and no token', async () => {
  const history = new RoutingHistory(header, 1e6);
  history.add([routesFrame(0, [11, 12, 13, 14]), routesFrame(4, [15])], 3);
  history.add([routesFrame(40, [21])], 0);
  const records = await saved(history);
  expect(records.map(({ sequence, firstPosition, tokenIds }) => [sequence, firstPosition, tokenIds.length])).toEqual([
    [0, 0, 3],
    [0, 3, 2],
    [1, 0, 1], // of a reply without a prompt the first token stands for it
  ]);
  expect(records.every(({ tokenIds }) => tokenIds.every((id) => id === 0))).toBe(true);
  expect([...(records[1]?.experts ?? [])]).toEqual([...routesFrame(3, [14, 15]).experts]);
});

it('goes on with what was saved, and leaves a file of another model alone', async () => {
  const first = new RoutingHistory(header, 1e6);
  first.add([routesFrame(0, ids(0, 6))], 2);
  await first.save(path);
  const second = await RoutingHistory.open(path, header, 1e6);
  expect(second.tokens).toBe(6);
  second.add([routesFrame(0, ids(0, 3))], 1);
  expect((await saved(second)).map(({ sequence }) => sequence)).toEqual([0, 0, 1, 1]);
  expect((await RoutingHistory.open(path, { ...header, expertCount: 8 }, 1e6)).tokens).toBe(0);
  expect((await RoutingHistory.open(`${path}.none`, header, 1e6)).tokens).toBe(0);
});

it('drops the oldest generations when there is too much, the beginning of long prompts and the end of long replies', async () => {
  const history = new RoutingHistory(header, 2000); // 20 bytes a token
  for (let i = 0; i < 10; i++) history.add([routesFrame(0, ids(0, 20))], 10);
  expect(history.tokens).toBe(80);
  const long = new RoutingHistory(header, 1e5);
  long.add([routesFrame(0, ids(0, 3000))], 600);
  const [prompt, reply] = await saved(long);
  expect(prompt?.tokenIds.length).toBe(512);
  expect([...(prompt?.experts.subarray(0, 2) ?? [])]).toEqual([88 % 4, 89 % 4]);
  expect(reply?.tokenIds.length).toBe(1250); // a quarter of the bytes
});
