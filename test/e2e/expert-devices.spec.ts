import { startRpcServers } from '../support/rpc-servers.ts';
import { EMBEDDED, endless, goTo, modelLoaded, openChat, replies, replyText, SHAPE, send, stopped, streaming } from './app.ts';
import { expect, test } from './fixture.ts';

const BUDGET = 16_000_000;
/** Both together have room for most experts. */
const SCARCE = 11_500_000;
/** Text without sense, which uses all experts: what a talk leaves aside need not be lowered. */
const babble = { ...endless, sampling: { ...endless.sampling, temperature: 5, topK: 0, topP: 1, minP: 0 } };

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

test('the least important experts are in fewer bits on two devices once that is switched on, until it is switched off', async ({ app, core }, testInfo) => {
  await using rig = await startRpcServers(2);
  await modelLoaded(core, {
    expertRamBytes: 14_000_000,
    expertDevices: rig.servers.map(({ device }) => ({ id: device, bytes: SCARCE })),
    contextLength: 8192,
    sequences: 1,
    devices: [],
  });
  const chat = await openChat(app, core, babble);
  await send(app, 'What is a dwarf?');
  await streaming(replies(app));
  await goTo(app, 'placement');
  await app.getByRole('switch', { name: 'The CPU helps' }).click(); // it is quicker than devices of this kind, and in full precision
  const choice = app.getByRole('switch', { name: 'Fewer bits for unimportant experts' });
  await expect(choice).not.toBeChecked();
  await expect(app.getByText('changes answers', { exact: true })).toHaveCount(0);
  await choice.click();
  await expect(choice).toBeChecked();
  await expect(app.getByText('changes answers', { exact: true })).toBeVisible();
  const state = app.getByText(/^Looked at \d of 4 layers\. .* times a token was computed by an expert in q4_0, at most 25% of a layer’s experts\.$/);
  await expect(state).toHaveText(/Looked at [1-4] of 4 layers\. [1-9][\d.,]*[kM]? times/, { timeout: 15_000 });
  const counted = app.getByRole('table', { name: 'Devices with experts' }).getByTitle(/^[1-9]\d* tokens of experts$/);
  await expect(counted.first()).toBeVisible();
  await testInfo.attach('placement', { body: await app.screenshot({ fullPage: true }), contentType: 'image/png' });

  await choice.click();
  await expect(choice).not.toBeChecked();
  await expect(state).toHaveCount(0);
  await expect(counted).toHaveCount(0);
  await expect(app.getByText('changes answers', { exact: true })).toHaveCount(0);
  const status = await core.call('placement.status', { modelId: EMBEDDED });
  expect(status?.devices).toMatchObject({ replicaPrecision: null });
  await goTo(app, `chat/${chat.id}`);
  await app.getByRole('button', { name: /Stop/ }).click();
  await stopped(app);
});
