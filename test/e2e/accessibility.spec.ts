import { join } from 'node:path';
import type { CoreClient } from '../support/core-client.ts';
import { answered, composer, EMBEDDED, endless, goTo, modelLoaded, openChat, repeatable, replies, send, stopped, streaming, violations } from './app.ts';
import { expect, test } from './fixture.ts';

for (const theme of ['dark', 'light'] as const) {
  test(`no page keeps anybody out, ${theme} theme`, async ({ app, core }) => {
    test.setTimeout(240_000);
    await modelLoaded(core);
    await core.call('settings.set', { theme });
    await expect(app.locator('html')).toHaveAttribute('data-theme', theme);
    const found: Record<string, string[]> = {};
    const look = async (name: string) => {
      await app.waitForTimeout(200); // transitions of 120 ms
      found[name] = await violations(app);
    };
    await look('new chat');
    for (const text of ['What is a dwarf?', 'What is 12 + 30?']) {
      await openChat(app, core, repeatable());
      await send(app, text);
      await answered(app);
    }
    await app.keyboard.press('Control+.');
    await look('chat with parameters');
    await app.keyboard.press('Control+k');
    await look('palette');
    await app.keyboard.press('Escape');
    for (const address of ['experts/live', 'experts/tokens', 'experts/compare', 'placement', 'models', 'settings']) {
      await goTo(app, address);
      await expect(app.getByRole('heading', { level: 1 })).toBeAttached();
      await app.waitForTimeout(300);
      await look(address);
    }
    const runId = await tinyRun(core);
    for (const address of ['fine-tune', 'fine-tune/new', `fine-tune/run/${runId}`, `fine-tune/run/${runId}/checkpoints`]) {
      await goTo(app, address);
      await expect(app.getByRole('heading', { level: 1 })).toBeAttached();
      await app.waitForTimeout(500);
      await look(address.replace(runId, 'ID'));
    }
    await app
      .getByRole('button', { name: /^Export step/ })
      .first()
      .click();
    await look('export');
    await app.keyboard.press('Escape');
    await modelLoaded(core, { expertRamBytes: 14_000_000 });
    await goTo(app, 'placement');
    await expect(app.getByRole('slider', { name: 'RAM for experts' })).toBeVisible();
    await look('placement of a model on disk');
    await goTo(app, 'models');
    await app.getByRole('button', { name: /Load options/ }).click();
    await expect(app.getByRole('region', { name: 'Predicted speed' })).toBeVisible({ timeout: 30_000 });
    await look('planner');
    await app.keyboard.press('Escape');
    await app.getByRole('button', { name: /Details/ }).click();
    await look('details');
    await app.keyboard.press('Escape');
    await app.getByRole('button', { name: 'Find models' }).click();
    await look('hub');
    expect(Object.values(found).flat(), JSON.stringify(found, null, 1)).toEqual([]);
    expect(Object.keys(found)).toHaveLength(18);
  });
}

/** A run of two steps that is done, with figures and a checkpoint. */
async function tinyRun(core: CoreClient): Promise<string> {
  const plan = {
    data: { files: [join(import.meta.dirname, '../data/datasets/roman-numerals.jsonl')], validation: 0.2 },
    adapter: { experts: { loraRank: 2 } },
    schedule: { steps: 2 },
    batchTokens: 256,
    threads: 1,
  };
  const { id } = await core.call('training.create', { name: 'tiny', modelId: EMBEDDED, plan });
  await expect.poll(async () => (await core.call('training.get', { id })).state, { timeout: 60_000 }).toBe('done');
  return id;
}

test('everything is reached by keyboard alone', async ({ app, core }) => {
  await modelLoaded(core);
  const { id } = await core.call('chats.create', { modelId: 'tiny-moe' });
  await core.call('chats.update', { id, parameters: endless });
  const focused = () => app.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');

  await app.keyboard.press('Control+k');
  await app.keyboard.type('experts');
  await app.keyboard.press('Enter');
  await expect(app).toHaveTitle(/Experts/);
  await app.keyboard.press('Control+2');
  await expect(app).toHaveTitle(/Models/);
  await expect.poll(focused).not.toContain('Load options');
  for (let press = 0; press < 40 && !(await focused()).startsWith('Load options'); press++) await app.keyboard.press('Tab');
  await app.keyboard.press('Enter');
  await expect(app.getByRole('dialog')).toBeVisible();
  await app.keyboard.press('Escape');
  await expect(app.getByRole('dialog')).toBeHidden();
  expect(await focused()).toContain('Load options'); // the focus comes back

  await goTo(app, `chat/${id}`);
  await expect(composer(app)).toBeFocused();
  await app.keyboard.type('What is a dwarf?');
  await app.keyboard.press('Enter');
  await streaming(replies(app));
  await app.keyboard.press('Escape');
  await stopped(app);
  await composer(app).focus();
  await app.keyboard.press('ArrowUp');
  await expect(app.getByRole('textbox', { name: 'Edit the message' })).toBeFocused();
  await app.keyboard.press('Escape');
  await expect(app.getByRole('textbox', { name: 'Edit the message' })).toBeHidden();

  await app.keyboard.press('Control+3');
  const tab = app.getByRole('tab', { name: 'Live' });
  await tab.focus();
  await app.keyboard.press('ArrowRight');
  await expect(app.getByRole('tab', { name: 'Token inspector' })).toHaveAttribute('aria-selected', 'true');
  await app.keyboard.press('Control+/');
  await expect(app.getByRole('dialog', { name: 'Keyboard shortcuts' })).toContainText('Send the message');
});
