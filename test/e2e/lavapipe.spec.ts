// The whole way on two GPUs that go through Vulkan: plan, load, chat, see copies move, and take a device away and give it back in the middle of a reply.
import { lavapipe, lavapipeDevices } from '../support/lavapipe.ts';
import { EMBEDDED, EMBEDDED_NAME, endless, goTo, modelLoaded, openChat, replies, replyText, SHAPE, send, stopped, streaming } from './app.ts';
import { expect, test } from './fixture.ts';

const GPUS = ['Vulkan0', 'Vulkan1'];

test.use({ serveOptions: { environment: lavapipeDevices(GPUS.length) } });

test('a model is planned for two Vulkan devices, loaded, and its copies move and are resized while it writes', async ({ app, core }, testInfo) => {
  test.skip(lavapipe === undefined, 'no software Vulkan device; install mesa-vulkan-drivers');
  test.setTimeout(240_000); // some 8 tokens a second
  await modelLoaded(core, { devices: [], gpuLayers: 0 });
  await core.call('models.unload', { id: EMBEDDED });
  await core.call('settings.set', { threads: 1 });
  expect((await core.call('devices.list', {})).map(({ id }) => id)).toEqual(expect.arrayContaining(GPUS));

  await goTo(app, 'models');
  await app.getByRole('button', { name: /Load options/ }).click();
  const dialog = app.getByRole('dialog', { name: `Load ${EMBEDDED_NAME}` });
  const fact = (name: string) =>
    dialog
      .getByRole('region', { name: 'Predicted speed' })
      .locator('dl > div')
      .filter({ has: app.locator('dt', { hasText: new RegExp(`^${name}$`) }) })
      .locator('dd');
  await dialog.getByLabel('Layers on GPUs').fill('0');
  await dialog.getByLabel('Sequences').fill('1');
  await dialog.getByLabel('Context, tokens').fill('512');
  await dialog.getByRole('slider', { name: 'RAM for experts' }).press('Home');
  for (const gpu of GPUS) {
    const slider = dialog.getByRole('slider', { name: `Experts on ${gpu}` });
    await slider.press('End');
    for (let press = 0; press < 5; press++) await slider.press('PageDown');
  }
  await expect(fact('Experts of a layer')).toHaveText('2 in RAM, 24 on Vulkan0, 24 on Vulkan1', { timeout: 120_000 });
  await expect(fact('Writing a reply')).toHaveText(/^[\d.]+ tok\/s est\.$/);
  await testInfo.attach('planner', { body: await app.screenshot(), contentType: 'image/png' });
  await dialog.getByRole('button', { name: 'Load', exact: true }).click();
  await expect.poll(async () => (await core.call('models.list', {}))[0]?.state.state, { timeout: 120_000 }).toBe('loaded');

  const devices = async () => (await core.call('placement.status', { modelId: EMBEDDED }))?.devices;
  const slots = async (gpu: number) => (await devices())?.layers.map((layer) => layer.slots[gpu]);
  expect(await slots(0)).toEqual(Array(SHAPE.layers).fill(24));
  const chat = await openChat(app, core, endless);
  await send(app, 'What is a dwarf?');
  await streaming(replies(app));
  await goTo(app, 'placement');
  await expect.poll(async () => (await devices())?.devices.map(({ tokens }) => tokens > 0), { timeout: 60_000 }).toEqual([true, true]);
  await expect.poll(async () => (await devices())?.devices.reduce((sum, { copied }) => sum + copied, 0), { timeout: 90_000 }).toBeGreaterThan(0);
  await expect(app.getByRole('table', { name: 'Devices with experts' }).locator('tbody tr')).toHaveCount(GPUS.length);
  await testInfo.attach('placement', { body: await app.screenshot({ fullPage: true }), contentType: 'image/png' });

  const slider = app.getByRole('slider', { name: 'Experts on Vulkan1' });
  await slider.press('Home');
  await expect.poll(() => slots(1), { timeout: 30_000 }).toEqual(Array(SHAPE.layers).fill(0));
  await slider.press('End');
  await expect.poll(() => slots(1), { timeout: 30_000 }).toEqual(Array(SHAPE.layers).fill(SHAPE.experts));
  await goTo(app, `chat/${chat.id}`);
  const before = (await replyText(replies(app))).length;
  await expect.poll(async () => (await replyText(replies(app))).length, { timeout: 30_000 }).toBeGreaterThan(before);
  await app.getByRole('button', { name: /Stop/ }).click();
  await stopped(app);
  expect((await core.call('app.info', {})).engine.restarts).toBe(0);
});
