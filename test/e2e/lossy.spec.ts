// The modes that change answers: off, labelled as what they are, switched on the Placement page, and told under every reply that used one.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tinyModel } from '../support/engine.ts';
import { answered, goTo, repeatable, send } from './app.ts';
import { expect, test } from './fixture.ts';

test('low precision is switched on and shown under a reply; leaving out needs a calibration', async ({ app, core, served }, testInfo) => {
  const folder = join(served.dataFolder, 'models');
  const model = join(folder, 'copy.gguf');
  mkdirSync(folder, { recursive: true });
  copyFileSync(tinyModel, model);
  await core.call('models.scan', {});
  await core.call('models.load', { id: 'copy', options: { threads: 1, contextLength: 2048, sequences: 1, expertRamBytes: 4_000_000 } });
  const lossy = async () => (await core.call('placement.status', { modelId: 'copy' }))?.store.lossy;

  await goTo(app, 'placement?of=copy');
  await expect(app.getByText(/it changes what the model says/)).toBeVisible();
  const low = app.getByRole('switch', { name: 'Copies at low precision' });
  await expect(low).not.toBeChecked();
  await app.getByRole('switch', { name: 'Leave experts out' }).click();
  await expect(app.getByRole('region', { name: /^Notices/ }).getByText(/moebius calibrate MODEL --text FILE\./)).toBeVisible();
  await expect(app.getByRole('switch', { name: 'Leave experts out' })).not.toBeChecked();

  await low.click();
  await expect(low).toBeChecked();
  await expect(app.getByText(/of RAM$/)).toBeVisible({ timeout: 30_000 });
  expect(existsSync(`${model}.q2_k`)).toBe(true);
  const slider = app.getByRole('slider', { name: 'For experts that rank below' });
  await slider.press('Home');
  await expect.poll(async () => (await lossy())?.lowPrecisionCopies?.above).toBe(0);

  const { id } = await core.call('chats.create', { modelId: 'copy' });
  await core.call('chats.update', { id, parameters: repeatable(40) });
  await goTo(app, `chat/${id}`);
  await send(app, 'What is a shepherd?');
  await expect(app.getByText(/% of experts at low precision/)).toBeVisible();
  await answered(app);
  const told = (await core.call('chats.get', { id })).messages.at(-1)?.stats?.lossy;
  expect(told?.lowPrecision).toBeGreaterThan(0);
  await testInfo.attach('reply', { body: await app.screenshot(), contentType: 'image/png' });
  await goTo(app, 'placement?of=copy');
  await expect(app.locator('dt', { hasText: /^not read$/ })).toBeVisible();
  await testInfo.attach('placement', { body: await app.screenshot({ fullPage: true }), contentType: 'image/png' });
  await low.click();
  await expect.poll(async () => (await lossy())?.lowPrecisionCopies).toBeNull();
});
