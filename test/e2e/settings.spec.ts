import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tinyModel } from '../support/engine.ts';
import { startServe } from '../support/serve.ts';
import { goTo } from './app.ts';
import { expect, test } from './fixture.ts';

test('the endpoint listens while its switch is on, and asks for the key that was set', async ({ app }) => {
  await goTo(app, 'settings/api');
  await app.getByLabel('Port').fill('0');
  await app.getByLabel('Port').press('Enter');
  await app.getByRole('switch', { name: 'Serve an endpoint' }).click();
  const base = await app.getByLabel('Base URL').inputValue();
  expect(base).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  const list = (key?: string) => fetch(`${base}/models`, key ? { headers: { authorization: `Bearer ${key}` } } : {});
  expect((await list()).status).toBe(200);

  await app.getByRole('button', { name: 'Make one' }).click();
  const key = (await app.getByText(/^mb-[\w-]{32}$/).textContent()) ?? '';
  await expect.poll(async () => (await list()).status).toBe(401);
  expect((await list(key)).status).toBe(200);

  await app.getByRole('switch', { name: 'Serve an endpoint' }).click();
  await expect(app.getByLabel('Base URL')).toBeHidden();
  await expect(list(key)).rejects.toThrow();
});

test('theme, folders and models are the same after a restart', async ({ page }) => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'moebius-e2e-'));
  const models = join(dataFolder, 'my models');
  mkdirSync(models);
  copyFileSync(tinyModel, join(models, 'mine.gguf'));
  try {
    const first = await startServe({ dataFolder });
    try {
      await page.goto(first.url);
      await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
      await page.getByRole('link', { name: 'Settings' }).click();
      await page.getByRole('radio', { name: 'Light' }).click();
      await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
      await page.getByPlaceholder('Path of a folder').fill(models);
      await page.getByPlaceholder('Path of a folder').press('Enter');
      await expect(page.getByText(models)).toBeVisible();
      await page.getByRole('button', { name: 'Scan' }).click();
      await goTo(page, 'models');
      await expect(page.getByRole('list', { name: 'Models' }).getByText(join(models, 'mine.gguf'))).toBeVisible();
    } finally {
      expect(await first.stop()).toBe(0);
    }
    // a new browser session, too
    await page.evaluate(() => localStorage.clear());
    const second = await startServe({ dataFolder });
    try {
      await page.goto(second.url);
      await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
      await goTo(page, 'settings');
      await expect(page.getByText(models)).toBeVisible();
      await goTo(page, 'models');
      await expect(page.getByRole('list', { name: 'Models' }).getByText(join(models, 'mine.gguf'))).toBeVisible();
    } finally {
      await second.stop();
    }
  } finally {
    rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 });
  }
});
