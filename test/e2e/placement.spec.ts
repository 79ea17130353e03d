import type { Locator, Page } from '@playwright/test';
import { EMBEDDED, endless, goTo, modelLoaded, openChat, replies, replyText, SHAPE, send, stopped, streaming } from './app.ts';
import { expect, test } from './fixture.ts';

/** Bytes that hold about half of the embedded model's experts. */
const HALF = 14_000_000;

const grid = (page: Page): Locator => page.getByRole('application', { name: /^Places of the experts of/ });

/** Cells by colour, the most frequent colour first. */
async function colours(page: Page): Promise<number[]> {
  const counts = await grid(page)
    .locator('canvas')
    .evaluate((element) => {
      const canvas = element as HTMLCanvasElement; // the locator matches canvas elements
      const data = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? new Uint8ClampedArray();
      const found = new Map<number, number>();
      for (const colour of new Uint32Array(data.buffer)) found.set(colour, (found.get(colour) ?? 0) + 1);
      return [...found.values()];
    });
  return counts.sort((a, b) => b - a);
}

const figure = (page: Page, label: string): Locator =>
  page
    .locator('dl > div')
    .filter({ has: page.locator('dt', { hasText: new RegExp(`^${label}$`) }) })
    .locator('dd');

test('a model whose experts are all in memory says so, and how to change that', async ({ app, core }) => {
  await modelLoaded(core);
  await goTo(app, 'placement');
  await expect(app.getByText(/All experts of .* are in memory/)).toBeVisible();
  await app.getByRole('button', { name: 'Load options' }).click();
  await expect(app.getByRole('heading', { level: 1, name: 'Models' })).toBeVisible();
});

test('experts in RAM and on disk are shown live; RAM and policy change in the middle of a reply, which goes on', async ({ app, core }) => {
  await modelLoaded(core, { expertRamBytes: HALF, expertPolicy: 'lru', contextLength: 8192, sequences: 1 });
  const chat = await openChat(app, core, endless);
  await send(app, 'What is a dwarf?');
  await streaming(replies(app));
  await goTo(app, 'placement');
  const cells = SHAPE.layers * SHAPE.experts;
  await expect(figure(app, 'experts with room')).toHaveText(/^59 of 128$/);
  await expect(figure(app, 'RAM for them')).toHaveText(/1[23]\.\d MiB/);
  await expect.poll(async () => (await colours(app)).reduce((sum, count) => sum + count, 0)).toBe(cells);
  await expect.poll(() => figure(app, 'hits, now').textContent()).toMatch(/^\d+(\.\d+)?%$/);
  await expect.poll(() => figure(app, 'read from disk').textContent()).toMatch(/^[1-9]/);

  await app.getByRole('combobox', { name: 'What stays' }).click();
  await app.getByRole('option', { name: /^foresight/ }).click();
  await expect.poll(async () => (await core.call('placement.status', { modelId: EMBEDDED }))?.store.policy).toBe('foresight');

  await expect.poll(() => figure(app, 'prefetch accuracy').textContent()).toMatch(/^\d+(\.\d+)?%$/);
  await app.getByRole('combobox', { name: 'Read ahead' }).click();
  await app.getByRole('option', { name: /^off/ }).click();
  await expect.poll(async () => (await core.call('placement.status', { modelId: EMBEDDED }))?.store.prefetch.mode).toBe('off');

  const slider = app.getByRole('slider', { name: 'RAM for experts' });
  await slider.press('End');
  await expect.poll(() => colours(app)).toEqual([cells]); // all of one colour: in RAM
  await expect.poll(() => figure(app, 'hits, now').textContent()).toBe('100%');
  await expect.poll(() => figure(app, 'read from disk').textContent()).toBe('0 B/s');
  await expect(app.getByRole('img', { name: /Hit rate and disk reads over time/ })).toBeVisible();
  await slider.press('Home');
  await expect.poll(async () => (await core.call('placement.status', { modelId: EMBEDDED }))?.store.layers.map(({ slots }) => slots)).toEqual([2, 2, 2, 2]);
  await expect(app.getByRole('table', { name: 'Uses of experts by layer' }).locator('tbody tr')).toHaveCount(SHAPE.layers);
  await grid(app).press('ArrowDown');
  await expect(app.getByText(/layer 0 · expert 0 · .* · \d of 32 experts of the layer are in RAM/)).toBeVisible();

  await goTo(app, `chat/${chat.id}`);
  const before = (await replyText(replies(app))).length;
  await expect.poll(async () => (await replyText(replies(app))).length).toBeGreaterThan(before);
  await app.getByRole('button', { name: /Stop/ }).click();
  await stopped(app);
});

test('less RAM than two experts a layer need, and a model that is not loaded, are refused', async ({ core }) => {
  await modelLoaded(core, { expertRamBytes: HALF });
  await expect(core.call('placement.configure', { modelId: EMBEDDED, ramBytes: 1000 })).rejects.toMatchObject({
    code: 'model.does-not-fit',
    message: expect.stringContaining('1000 bytes is too small'),
  });
  await core.call('models.unload', { id: EMBEDDED });
  expect(await core.call('placement.status', { modelId: EMBEDDED })).toBeNull();
  await expect(core.call('placement.configure', { modelId: EMBEDDED, policy: 'lru' })).rejects.toMatchObject({ code: 'model.not-loaded' });
});
