// What one life of the application learns of a model's super experts, the next one has from the load on.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { embeddedModelId } from '../../main/library/library.ts';
import { CoreClient } from '../support/core-client.ts';
import { startServe } from '../support/serve.ts';

vi.setConfig({ testTimeout: 120_000 });

const options = { threads: 1, gpuLayers: 0, contextLength: 1024, sequences: 1, expertRamBytes: 14_000_000 };
const dataFolder = mkdtempSync(join(tmpdir(), 'moebius-super-'));
afterAll(() => rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 }));

const remembered = () =>
  readdirSync(join(dataFolder, 'routing'))
    .filter((name) => name.endsWith('.super-experts.json'))
    .map((name) => join(dataFolder, 'routing', name));

async function life<T>(use: (core: CoreClient) => Promise<T>): Promise<T> {
  const served = await startServe({ dataFolder });
  try {
    const core = await CoreClient.connect(served.url);
    await core.call('models.load', { id: embeddedModelId, options });
    const result = await use(core);
    core.close();
    return result;
  } finally {
    await served.stop();
  }
}

const known = async (core: CoreClient) => (await core.call('placement.status', { modelId: embeddedModelId }))?.store.superExperts;

it('remembers across lives', async () => {
  await life(async (core) => {
    const { id } = await core.call('chats.create', { modelId: embeddedModelId });
    await core.call('chats.update', { id, parameters: { maxTokens: 200, sampling: { seed: 1 } } });
    await core.call('chat.send', { chatId: id, text: 'What is a shepherd? And what are '.repeat(12) });
    await expect.poll(remembered, { timeout: 60_000 }).toHaveLength(1);
    expect(await known(core)).toEqual([]);
  });
  const path = remembered()[0] ?? '';
  const kept = JSON.parse(readFileSync(path, 'utf8'));
  expect(kept.superExperts).toEqual([]);
  // as if it had found one
  writeFileSync(path, JSON.stringify({ ...kept, superExperts: [{ layer: 2, expert: 29, peak: 4000 }] }));
  await life(async (core) => {
    await expect.poll(() => known(core)).toEqual([{ layer: 2, expert: 29, peak: 4000, protected: true }]);
    await expect.poll(async () => (await core.call('placement.status', { modelId: embeddedModelId }))?.store.layers[2]?.tiers[29]).toBe('r');
  });
});
