import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locator, Page } from '@playwright/test';
import { tinyModel } from '../support/engine.ts';
import { FakeHub } from '../support/fake-hub.ts';
import { EMBEDDED, EMBEDDED_NAME, goTo, modelLoaded } from './app.ts';
import { expect, test } from './fixture.ts';

const cards = (page: Page): Locator => page.getByRole('list', { name: 'Models' }).getByRole('listitem');

/** `3.28 MiB` of a memory split's part, in KiB */
async function part(scope: Locator, name: string): Promise<number> {
  const label = scope.page().locator('dt', { hasText: new RegExp(`^${name}$`) });
  const text = await scope.locator('dl > div').filter({ has: label }).locator('dd').textContent();
  const [, value = '', unit = ''] = /^([\d.]+) (\w+)$/.exec(text ?? '') ?? [];
  return Number(value) * ({ B: 1 / 1024, KiB: 1, MiB: 1024, GiB: 1024 ** 2 }[unit] ?? Number.NaN);
}

test('a model is unloaded, and loaded again with other options after their memory was estimated', async ({ app, core }) => {
  await modelLoaded(core);
  await goTo(app, 'models');
  const card = cards(app).first();
  await expect(card).toContainText(/27\.0M.*2 of 32.*Q8_0.*512/);
  await card.getByRole('button', { name: 'Unload' }).click();
  await expect(card.getByRole('button', { name: 'Load', exact: true })).toBeVisible();
  await expect(card.getByText('loaded', { exact: true })).toBeHidden();

  await card.getByRole('button', { name: /Load options/ }).click();
  const dialog = app.getByRole('dialog', { name: `Load ${EMBEDDED_NAME}` });
  const estimate = dialog.getByRole('region', { name: 'Estimated memory' });
  await expect(estimate).toContainText(/Needs .* of .*\(est\.\)/);
  const kvCache = await part(estimate, 'KV cache');
  await dialog.getByLabel('Context, tokens').fill('256');
  await dialog.getByLabel('Sequences').fill('2');
  await dialog.getByLabel('CPU threads').fill('1');
  await dialog.getByLabel('CPU threads').press('Tab');
  await expect.poll(() => part(estimate, 'KV cache')).toBe(kvCache / 4);
  const estimated = { experts: await part(estimate, 'experts'), weights: await part(estimate, 'weights'), kvCache: await part(estimate, 'KV cache') };
  await dialog.getByRole('button', { name: 'Load', exact: true }).click();

  await expect(card).toContainText('256 tokens × 2 sequences · 1 threads');
  expect({ experts: await part(card, 'experts'), weights: await part(card, 'weights'), kvCache: await part(card, 'KV cache') }).toEqual(estimated);
  await expect(card.getByRole('meter', { name: 'Memory on CPU' })).toBeVisible();

  await card.getByRole('button', { name: /Details/ }).click();
  await expect(app.getByRole('dialog').getByRole('table', { name: 'Tensors by class' })).toContainText(/experts.*12.*25\.2M.*q8_0/);
  await app.keyboard.press('Escape');
  await expect(app.getByRole('dialog')).toBeHidden();
});

test('options that need more than there is are refused before anything is loaded', async ({ app, core }) => {
  await modelLoaded(core);
  await goTo(app, 'models');
  await cards(app)
    .first()
    .getByRole('button', { name: /Load options/ })
    .click();
  const dialog = app.getByRole('dialog', { name: `Load ${EMBEDDED_NAME}` });
  await dialog.getByLabel('Context, tokens').fill('16000000');
  await dialog.getByLabel('Context, tokens').press('Tab');
  await expect(dialog.getByText(/Does not fit on CPU: .* needed, .* free/)).toBeVisible();
  await expect(dialog.getByRole('button', { name: 'Reload' })).toBeDisabled();
});

test('a load shows its progress and can be cancelled', async ({ app, core }) => {
  await modelLoaded(core);
  await goTo(app, 'models');
  const card = cards(app).first();
  await card.getByRole('button', { name: 'Unload' }).click();
  await expect(card.getByRole('button', { name: 'Load', exact: true })).toBeVisible();
  const fractions: number[] = [];
  core.on('models.changed', ({ state }) => state.state === 'loading' && fractions.push(state.fraction));
  // The engine holds its breath, so that there is time to press the button.
  const { engine } = await core.call('app.info', {});
  const signal = (name: NodeJS.Signals) => process.kill(engine.processId ?? Number.NaN, name);
  signal('SIGSTOP');
  try {
    await card.getByRole('button', { name: 'Load', exact: true }).click();
    await expect(card.getByRole('progressbar', { name: `Loading ${EMBEDDED_NAME}` })).toBeVisible();
    await card.getByRole('button', { name: 'Cancel loading' }).click();
  } finally {
    signal('SIGCONT');
  }
  await expect(card.getByRole('button', { name: 'Load', exact: true })).toBeVisible();
  expect((await core.call('models.list', {}))[0]?.state.state).toBe('unloaded');

  await card.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(card.getByRole('button', { name: 'Unload' })).toBeVisible({ timeout: 20_000 });
  expect(fractions.length).toBeGreaterThan(0);
  expect(fractions.every((fraction) => fraction >= 0 && fraction <= 1)).toBe(true);
});

test('a file that is missing or damaged is explained with numbers', async ({ app, core, served }) => {
  await modelLoaded(core);
  await goTo(app, 'models');
  const add = async (path: string) => {
    await app.getByRole('button', { name: 'Add file' }).click();
    await app.getByLabel('Path of a GGUF file').fill(path);
    await app.keyboard.press('Enter');
  };
  await add(join(served.dataFolder, 'nowhere.gguf'));
  await expect(app.getByRole('dialog').getByRole('alert')).toContainText('nowhere.gguf');
  await app.keyboard.press('Escape');

  const damaged = join(served.dataFolder, 'damaged.gguf');
  writeFileSync(damaged, readFileSync(tinyModel).subarray(0, 5_000_000));
  await add(damaged);
  const card = cards(app).filter({ hasText: 'damaged' });
  await expect(card).toContainText('cannot be used');
  await expect(card).toContainText(/needs \d+ bytes.*5000000/);
  await expect(card.getByRole('button', { name: 'Load', exact: true })).toHaveCount(0);
  await card.getByRole('button', { name: /Remove/ }).click();
  await app.getByRole('alertdialog').getByRole('button', { name: 'Remove' }).click();
  await expect(card).toHaveCount(0);
});

test.describe('downloads from the hub', () => {
  const model = readFileSync(tinyModel);
  let hub: FakeHub;
  test.beforeEach(async ({ core }) => {
    hub = await FakeHub.start();
    hub.add('tests/tiny-moe-GGUF', { 'tiny-moe.Q8_0.gguf': model, 'wrong.gguf': { content: model, sha256: 'ab'.repeat(32) } }, { downloads: 1_234_567 });
    hub.add('tests/dense-GGUF', { 'dense.gguf': model });
    await core.call('settings.set', { hubUrl: hub.url });
  });
  test.afterEach(() => hub.close());

  async function startDownload(app: Page, file: string): Promise<void> {
    await app.getByRole('button', { name: 'Find models' }).click();
    await app.getByRole('textbox', { name: 'Search the hub' }).fill('moe');
    await app.keyboard.press('Enter');
    await app
      .getByRole('list', { name: 'Repositories' })
      .getByRole('button', { name: /tests\/tiny-moe-GGUF.*1\.23M downloads/ })
      .click();
    await app.getByRole('listitem').filter({ hasText: file }).getByRole('button', { name: 'Download' }).click();
  }

  test('a download pauses, goes on where it was, is checked, and becomes a model that loads', async ({ app, core }) => {
    await modelLoaded(core);
    await goTo(app, 'models');
    hub.faults.push({ bytesPerSecond: 4_000_000 });
    await startDownload(app, 'tiny-moe.Q8_0.gguf');
    const row = app.getByRole('list', { name: 'Downloads' }).getByRole('listitem');
    await expect(row).toContainText(/of 27\.6 MiB, .*\/s, .* left/);
    await row.getByRole('button', { name: /^Pause/ }).click();
    await expect(row).toContainText('paused');
    const [paused] = await core.call('downloads.list', {});
    expect(paused?.bytesDone).toBeGreaterThan(0);
    expect(paused?.bytesDone).toBeLessThan(model.length);
    await row.getByRole('button', { name: /^Resume/ }).click();
    await expect(row).toContainText('done', { timeout: 30_000 });
    const ranges = hub.contentRequests().map(({ headers }) => Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0));
    expect(ranges.at(-1)).toBeGreaterThan(0);

    const card = cards(app).filter({ hasText: 'downloaded' });
    await card.getByRole('button', { name: 'Load', exact: true }).click();
    await expect(card.getByRole('button', { name: 'Unload' })).toBeVisible({ timeout: 20_000 });
    const loaded = (await core.call('models.list', {})).filter(({ state }) => state.state === 'loaded');
    expect(loaded.map(({ id }) => id)).toContain(EMBEDDED);
    expect(loaded).toHaveLength(2);
  });

  test('a download with a wrong sha256 says so and leaves no model', async ({ app, core }) => {
    await modelLoaded(core);
    await goTo(app, 'models');
    await startDownload(app, 'wrong.gguf');
    const row = app.getByRole('list', { name: 'Downloads' }).getByRole('listitem');
    await expect(row.getByRole('alert')).toContainText(/sha256/i, { timeout: 30_000 });
    await expect(cards(app)).toHaveCount(1);
    await row.getByRole('button', { name: /^Cancel/ }).click();
    await expect(row).toHaveCount(0);
  });
});
