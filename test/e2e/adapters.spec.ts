import { type TrainedAdapter, trainAdapter } from '../support/trained-adapter.ts';
import { answered, composer, letters, modelLoaded, openChat, repeatable, replies, replyText, send, violations } from './app.ts';
import { expect, test } from './fixture.ts';

let made: TrainedAdapter;
test.beforeAll(async () => {
  made = await trainAdapter();
});
test.afterAll(() => made?.remove());

test('an adapter is added in the chat, switched on, marks its replies, and is off again when it is switched off', async ({ app, core }) => {
  test.setTimeout(120_000);
  await modelLoaded(core);
  const { id } = await openChat(app, core, repeatable(16));
  await send(app, 'What is 7 in Roman numerals?');
  await answered(app);
  const plain = letters(await replyText(replies(app).first()));

  const control = app.getByRole('button', { name: /^Adapters(: roman)?$/ });
  const panel = app.getByRole('dialog', { name: 'Adapters' });
  await control.click();
  await expect(panel).toContainText('None is there yet');
  await expect(panel.getByRole('button', { name: 'Choose an adapter file' })).toHaveCount(0); // a browser tells no paths
  await app.keyboard.press('Escape');
  await app.evaluate((path) => {
    window.moebius = { connect: () => {}, chooseFile: async () => path };
  }, made.damaged);
  await control.click();
  await panel.getByRole('button', { name: 'Choose an adapter file' }).click();
  await expect(panel).toContainText('damaged.gguf: ');
  const field = panel.getByRole('textbox', { name: 'Adapter file' });
  await field.fill(made.file);
  await panel.getByRole('button', { name: 'Add' }).click();
  const toggle = panel.getByRole('switch', { name: 'roman' });
  await expect(toggle).not.toBeChecked();
  await expect(panel).toContainText('experts and router');
  await toggle.click();
  await panel.getByRole('spinbutton', { name: 'Scale of roman' }).fill('0.9');
  await panel.getByRole('spinbutton', { name: 'Scale of roman' }).press('Enter');
  await expect.poll(async () => (await core.call('chats.get', { id })).parameters.adapters).toEqual([{ id: 'roman', scale: 0.9 }]);
  expect(await violations(app)).toEqual([]);
  await app.screenshot({ path: test.info().outputPath('adapter-control.png') });
  await app.keyboard.press('Escape');
  await expect(control).toHaveText('roman');

  await replies(app).first().getByRole('button', { name: 'Regenerate' }).click();
  const reply = replies(app).first();
  await expect(reply).toContainText('roman × 0.9'); // the new one; it may still be written
  await answered(app);
  expect(letters(await replyText(reply))).not.toBe(plain);
  await app.screenshot({ path: test.info().outputPath('adapter-reply.png') });
  expect((await core.call('chats.get', { id })).messages.map((message) => message.adapters.map((adapter) => adapter.scale))).toEqual([[], [], [0.9]]);

  await app.reload();
  await expect(composer(app)).toBeVisible();
  await expect(control).toHaveText('roman');
  await control.click();
  await panel.getByRole('switch', { name: 'roman' }).click();
  await app.keyboard.press('Escape');
  await expect(control).toHaveText('Adapters');
  await replies(app).first().getByRole('button', { name: 'Regenerate' }).click();
  await expect(reply).not.toContainText('roman');
  await answered(app);
  expect(letters(await replyText(replies(app).first()))).toBe(plain);
});
