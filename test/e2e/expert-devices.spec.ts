import { startRpcServers } from '../support/rpc-servers.ts';
import { EMBEDDED, endless, goTo, modelLoaded, openChat, replies, replyText, SHAPE, send, stopped, streaming } from './app.ts';
import { expect, test } from './fixture.ts';

const BUDGET = 16_000_000;

test('copies on two devices are shown live, and a device is given more and less in the middle of a reply, which goes on', async ({ app, core }, testInfo) => {
  await using rig = await startRpcServers(2);
  const ids = rig.servers.map(({ device }) => device);
  await modelLoaded(core, {
    expertRamBytes: 14_000_000,
    expertDevices: ids.map((id) => ({ id, bytes: BUDGET })),
    contextLength: 8192,
    sequences: 1,
    devices: [],
  });
  const chat = await openChat(app, core, endless);
  await send(app, 'What is a dwarf?');
  await streaming(replies(app));
  await goTo(app, 'placement');
  const rows = app.getByRole('table', { name: 'Devices with experts' }).locator('tbody tr');
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toContainText(ids[0] ?? '');
  await expect(app.getByRole('meter', { name: new RegExp(`^Layer 0, ${ids[1]}`) })).toBeVisible();
  await expect.poll(async () => (await devicesOf())?.devices.reduce((sum, { copied }) => sum + copied, 0)).toBeGreaterThan(0);
  await testInfo.attach('placement', { body: await app.screenshot({ fullPage: true }), contentType: 'image/png' });

  const slider = app.getByRole('slider', { name: `Experts on ${ids[1]}` });
  await slider.press('Home');
  await expect.poll(async () => (await devicesOf())?.layers.map(({ slots }) => slots[1])).toEqual(Array(SHAPE.layers).fill(0));
  await slider.press('End');
  await expect.poll(async () => (await devicesOf())?.layers.map(({ slots }) => slots[1])).toEqual(Array(SHAPE.layers).fill(SHAPE.experts));
  await app.getByRole('switch', { name: 'Copies follow the load' }).click();
  await expect.poll(async () => (await devicesOf())?.replication).toBe(false);

  await goTo(app, `chat/${chat.id}`);
  const before = (await replyText(replies(app))).length;
  await expect.poll(async () => (await replyText(replies(app))).length).toBeGreaterThan(before);
  await app.getByRole('button', { name: /Stop/ }).click();
  await stopped(app);

  async function devicesOf() {
    return (await core.call('placement.status', { modelId: EMBEDDED }))?.devices;
  }
});
