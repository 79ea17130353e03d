// The planner in the load dialog, on a rig of two devices: what is chosen with sliders is predicted live, and loaded as it was shown.
import type { Locator, Page } from '@playwright/test';
import type { CoreClient } from '../support/core-client.ts';
import { type RpcServers, startRpcServers } from '../support/rpc-servers.ts';
import { answered, EMBEDDED, EMBEDDED_NAME, goTo, modelLoaded, openChat, repeatable, SHAPE, send, violations } from './app.ts';
import { expect, test } from './fixture.ts';

/** The rig's devices are the engine's, and the dialog is open. */
async function openPlanner(app: Page, core: CoreClient, rig: RpcServers): Promise<{ dialog: Locator; ids: string[] }> {
  await modelLoaded(core);
  await core.call('models.unload', { id: EMBEDDED });
  const ids = rig.servers.map(({ device }) => device);
  await core.call('settings.set', { threads: 1, remoteMachines: rig.servers.map(({ endpoint }) => endpoint) });
  await expect.poll(async () => (await core.call('devices.list', {})).map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
  await goTo(app, 'models');
  await app.getByRole('button', { name: /Load options/ }).click();
  return { dialog: app.getByRole('dialog', { name: `Load ${EMBEDDED_NAME}` }), ids };
}

/** `15 in RAM` of the plan that is shown, once it is that of the options that are shown. */
const fact = (dialog: Locator, name: string): Locator =>
  dialog
    .getByRole('region', { name: 'Predicted speed' })
    .locator('dl > div')
    .filter({ has: dialog.page().locator('dt', { hasText: new RegExp(`^${name}$`) }) })
    .locator('dd');

test('budgets are chosen with sliders, predicted live, loaded as shown, and are what the Placement page has', async ({ app, core }, testInfo) => {
  await using rig = await startRpcServers(2, { memory: 200_000_000 });
  const { dialog, ids } = await openPlanner(app, core, rig);
  const ram = dialog.getByRole('slider', { name: 'RAM for experts' });
  const onDevice = ids.map((id) => dialog.getByRole('slider', { name: `Experts on ${id}` }));
  const automatic = [
    dialog.getByRole('checkbox', { name: 'Experts in RAM: automatic' }),
    dialog.getByRole('checkbox', { name: 'Copies of experts on GPUs: automatic' }),
  ];
  for (const box of automatic) await expect(box).toBeChecked();
  await expect(ram).toHaveAttribute('aria-valuetext', /^\d+(\.\d+)? MiB of \d+(\.\d+)? MiB, automatic$/);
  await expect(fact(dialog, 'Experts of a layer')).toHaveText(`${SHAPE.experts} in RAM`, { timeout: 30_000 });
  await expect(fact(dialog, 'Writing a reply')).toHaveText(/^[\d.]+ tok\/s est\.$/);
  await expect(fact(dialog, 'Replies are limited by')).toHaveText(/: alone it allows [\d.]+ tok\/s$/);

  await ram.press('Home');
  await expect(fact(dialog, 'Experts of a layer')).toHaveText('2 in RAM, 30 only on disk');
  await expect(fact(dialog, 'Found in memory')).toHaveText(/^3\d(\.\d)?% \(a guess/);
  await onDevice[0]?.press('End');
  await onDevice[1]?.press('End');
  for (let press = 0; press < 10; press++) await onDevice[1]?.press('PageDown');
  await expect(fact(dialog, 'Experts of a layer')).toHaveText(`2 in RAM, 32 on ${ids[0]}, 16 on ${ids[1]}`);
  await expect(fact(dialog, 'Found in memory')).toHaveText('100% (all experts are in memory)');
  for (const id of ids) await expect(dialog.getByRole('meter', { name: `Memory on ${id}` })).toHaveAttribute('aria-valuetext', /^\d.* of 19\d MiB free$/);
  for (const box of automatic) await expect(box).not.toBeChecked();
  await testInfo.attach('planner', { body: await app.screenshot(), contentType: 'image/png' });

  await dialog.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(dialog).toBeHidden();
  await expect.poll(async () => (await core.call('models.list', {}))[0]?.state.state).toBe('loaded');
  const status = await core.call('placement.status', { modelId: EMBEDDED });
  expect(status?.store.ramBytes).toBe(status?.store.ramBytesLeast);
  expect(status?.devices?.devices.map(({ id }) => id)).toEqual(ids);
  expect(status?.devices?.layers.map(({ slots }) => slots)).toEqual(Array(SHAPE.layers).fill([32, 16]));

  await openChat(app, core, repeatable());
  await send(app, 'What is a dwarf?');
  await answered(app);
  await goTo(app, 'placement');
  const rows = app.getByRole('table', { name: 'Devices with experts' }).locator('tbody tr');
  for (const [i, slots] of [128, 64].entries()) await expect(rows.nth(i)).toContainText(new RegExp(`${ids[i]} *${slots}`));
  await expect(app.getByRole('slider', { name: `Experts on ${ids[1]}` })).toHaveAttribute('aria-valuenow', '100');
});

test('a budget that a device has no room for is refused with need and have in bytes, until the engine decides again', async ({ app, core }) => {
  await using rig = await startRpcServers(1, { memory: 20_000_000 });
  const { dialog, ids } = await openPlanner(app, core, rig);
  const slider = dialog.getByRole('slider', { name: `Experts on ${ids[0]}` });
  await expect(slider).toHaveAttribute('aria-valuetext', /^0 B of 19\.1 MiB, automatic$/);
  await slider.press('End');
  const refusal = dialog.getByText(new RegExp(`Does not fit on ${ids[0]}: [\\d.]+ MiB needed, 19\\.1 MiB free`));
  await expect(refusal).toBeVisible();
  await expect(dialog.getByText(/2\d,\d{3},\d{3} bytes of \d\d,\d{3},\d{3}\./)).toBeVisible();
  await expect(dialog.getByRole('region', { name: 'Predicted speed' })).toBeHidden();
  await expect(dialog.getByRole('button', { name: 'Load', exact: true })).toBeDisabled();
  for (let press = 0; press < 8; press++) await slider.press('PageDown');
  await expect(refusal).toBeHidden();
  await expect(dialog.getByRole('button', { name: 'Load', exact: true })).toBeEnabled();
  await expect(fact(dialog, 'Writing a reply')).toHaveText(/tok\/s/, { timeout: 30_000 }); // a device that is nearly full is measured, too
  expect((await core.call('app.info', {})).engine.restarts).toBe(0);
  await slider.press('End');
  await expect(refusal).toBeVisible();
  await dialog.getByRole('checkbox', { name: 'Copies of experts on GPUs: automatic' }).click();
  await expect(refusal).toBeHidden();
  await expect(slider).toHaveAttribute('aria-valuetext', /^0 B .*, automatic$/);
});

test('the best split over all devices is found, compared with equal shares, and taken over', async ({ app, core }, testInfo) => {
  test.setTimeout(180_000);
  await using rig = await startRpcServers(2, { memory: 200_000_000 });
  const { dialog, ids } = await openPlanner(app, core, rig);
  await expect(fact(dialog, 'Writing a reply')).toBeVisible({ timeout: 30_000 });
  const split = dialog.getByRole('region', { name: 'Best split' });
  await split.getByRole('button', { name: 'Find the best split' }).click();
  await expect(split).toContainText(/Best of [\d,]+ that fit/, { timeout: 120_000 });
  await expect(split).toContainText(/Gain\s*[1-9][\d.]* times as fast \(est\.\)/);
  await testInfo.attach('best split', { body: await app.screenshot(), contentType: 'image/png' });
  await dialog.locator('summary', { hasText: 'Slots of each layer' }).click();
  for (const theme of ['dark', 'light'] as const) {
    await core.call('settings.set', { theme });
    await expect(app.locator('html')).toHaveAttribute('data-theme', theme);
    await app.waitForTimeout(200); // transitions of 120 ms
    expect(await violations(app), theme).toEqual([]);
  }
  await dialog.getByLabel('Sequences').fill('3');
  await dialog.getByLabel('Sequences').press('Tab');
  await expect(split).not.toContainText('Gain'); // other options, another answer
  await dialog.getByLabel('Sequences').fill('');
  await dialog.getByLabel('Sequences').press('Tab');
  await expect(split).toContainText('Gain');
  const layers = Number(/that fit.*?(\d) layers? on RPC0/.exec((await split.textContent()) ?? '')?.[1] ?? 0);
  await split.getByRole('button', { name: 'Use this split' }).click();
  for (const id of ids) await expect(dialog.getByRole('checkbox', { name: new RegExp(`^${id}`) })).toBeChecked();
  await expect(dialog.getByLabel('Layers on GPUs')).toHaveValue(layers > 0 ? /^[1-5]$/ : '0');
  await expect(fact(dialog, 'Writing a reply')).toHaveText(/^[\d.]+ tok\/s est\.$/, { timeout: 30_000 });
  await dialog.getByRole('button', { name: 'Load', exact: true }).click();
  await expect.poll(async () => (await core.call('models.list', {}))[0]?.state.state, { timeout: 30_000 }).toBe('loaded');
});
