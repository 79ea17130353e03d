// Layout files: written in the background, shown where they matter, stopped and deleted by the user.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tinyModel } from '../support/engine.ts';
import { endless, goTo } from './app.ts';
import { expect, test } from './fixture.ts';

test('a layout file is written behind a reply, and can be stopped and deleted; the setting says what it takes', async ({ app, core, served }) => {
  const folder = join(served.dataFolder, 'models');
  const model = join(folder, 'copy.gguf');
  mkdirSync(folder, { recursive: true });
  copyFileSync(tinyModel, model);
  await core.call('models.scan', {});
  await core.call('models.load', { id: 'copy', options: { threads: 1, contextLength: 2048, sequences: 1, expertRamBytes: 14_000_000 } });
  const { id } = await core.call('chats.create', { modelId: 'copy' });
  await core.call('chats.update', { id, parameters: endless });
  const { assistantMessage } = await core.call('chat.send', { chatId: id, text: 'What is a shepherd?' });

  await goTo(app, 'placement?of=copy');
  await expect(app.getByRole('heading', { name: 'Layout file' })).toBeVisible();
  await app.getByRole('button', { name: 'Write it now' }).click();
  const progress = app.getByRole('progressbar', { name: 'Layout file of copy' });
  await expect(progress).toHaveAttribute('aria-valuetext', /waiting for the end of a reply/);
  await goTo(app, 'models');
  await app.goto(await served.nextUrl()); // a window that has heard nothing of it
  await goTo(app, 'models');
  await expect(progress).toBeVisible();
  await expect(app.getByText(/^copy: [\d.]+% of .* waiting for the end of a reply$/)).toBeVisible();
  await app.getByRole('button', { name: 'Stop writing the layout file of copy' }).click();
  await expect(progress).toBeHidden();

  await goTo(app, 'placement?of=copy');
  await expect(app.getByText(/It is not written by itself: it was stopped/)).toBeVisible();
  await app.getByRole('button', { name: 'Write it now' }).click();
  await core.call('chat.stop', { messageId: assistantMessage.id });
  await expect(app.getByText('Written. The model uses it from its next load on.')).toBeVisible();
  expect(existsSync(`${model}.layout`)).toBe(true);
  await app.getByRole('button', { name: 'Delete the file' }).click();
  await expect(app.getByText(/It is not written by itself/)).toBeVisible();
  expect(existsSync(`${model}.layout`)).toBe(false);

  await goTo(app, 'settings');
  await expect(app.getByText(/nearly as much disk again as the model takes/)).toBeVisible();
  await app.getByRole('combobox', { name: 'Layout files' }).click();
  await app.getByRole('option', { name: /^off/ }).click();
  await expect.poll(async () => (await core.call('settings.get', {})).expertLayouts).toBe('off');
});
