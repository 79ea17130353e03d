import { readFileSync } from 'node:fs';
import type { Download, Locator, Page } from '@playwright/test';
import type { TokenRoute } from '../../main/contract/index.ts';
import { answered, endless, goTo, modelLoaded, openChat, repeatable, replies, SHAPE, send, stopped, streaming } from './app.ts';
import { expect, test } from './fixture.ts';

const grid = (page: Page): Locator => page.getByRole('application', { name: /^Experts of/ });

/** Colours of all cells, as text. */
function pixels(scope: Locator): Promise<string> {
  return scope.locator('canvas').evaluate((element) => {
    const canvas = element as HTMLCanvasElement; // the locator matches canvas elements
    const data = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? new Uint8ClampedArray();
    return Array.from(new Uint32Array(data.buffer), (colour) => colour.toString(16)).join(' ');
  });
}

const colourCount = (painted: string) => new Set(painted.split(' ')).size;

async function wholeSession(page: Page): Promise<void> {
  await page.getByRole('combobox', { name: 'Half-life of the counters' }).click();
  await page.getByRole('option', { name: 'whole session' }).click();
}

/** Text of every cell below the header. */
async function rowsOf(table: Locator): Promise<string[][]> {
  const rows = await table.locator('tbody tr').all();
  return Promise.all(rows.map((row) => row.locator('td').allInnerTexts()));
}

async function downloaded(page: Page, button: string): Promise<{ download: Download; bytes: Buffer }> {
  const waiting = page.waitForEvent('download');
  await page.getByRole('button', { name: button, exact: true }).click();
  const download = await waiting;
  return { download, bytes: readFileSync(await download.path()) };
}

test('the expert grid changes while tokens stream, with balance and history, and rests when they stop', async ({ app, core }) => {
  await modelLoaded(core);
  await openChat(app, core, endless);
  await send(app, 'What is a dwarf?');
  await streaming(replies(app));
  const miniMap = replies(app).getByRole('img', { name: /Experts of this reply: 4 layers by 32 experts/ });
  expect(colourCount(await pixels(miniMap))).toBeGreaterThan(3);

  await goTo(app, 'experts');
  await expect(grid(app)).toBeVisible();
  await expect.poll(async () => colourCount(await pixels(grid(app)))).toBeGreaterThan(10);
  const seen = new Set<string>();
  const look = async () => seen.add(await pixels(grid(app))).size;
  await expect.poll(look, { intervals: [100] }).toBeGreaterThanOrEqual(5);

  const balance = await rowsOf(app.getByRole('table', { name: 'Balance of every layer' }));
  expect(balance.map(([layer]) => layer)).toEqual(['0', '1', '2', '3']);
  for (const [, maximumOverMean, variation, entropy, dead] of balance) {
    expect(Number(maximumOverMean)).toBeGreaterThan(1);
    expect(Number(variation)).toBeGreaterThan(0);
    expect(Number(entropy)).toBeLessThanOrEqual(5);
    expect(Number(dead)).toBeLessThan(SHAPE.experts);
  }
  await expect(app.getByRole('img', { name: /over time/ }).locator('canvas')).toBeVisible();

  await app.getByRole('link', { name: /tok\/s/ }).click();
  await app.getByRole('button', { name: 'Stop the reply' }).click();
  await stopped(app);
  await goTo(app, 'experts');
  await wholeSession(app);
  await app.waitForTimeout(300);
  const atRest = await pixels(grid(app));
  await app.waitForTimeout(300);
  expect(await pixels(grid(app))).toBe(atRest);
});

test('cells are read by keyboard and pinned; table and CSV have the same numbers as the core; the PNG is a picture', async ({ app, core }) => {
  await modelLoaded(core);
  const { id } = await openChat(app, core, repeatable());
  await send(app, 'What is a dwarf?');
  await answered(app);
  await goTo(app, `experts/live?of=chat:${id}`);
  await wholeSession(app);
  const usage = await core.call('experts.usage', { scope: { kind: 'chat', id } });
  const counts = usage?.counts ?? [];
  expect(counts).toHaveLength(SHAPE.layers * SHAPE.experts);

  await grid(app).focus();
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown', 'Enter']) await app.keyboard.press(key);
  await expect(app.getByText(new RegExp(`layer 1 · expert 1 · .* of the layer · ${counts[SHAPE.experts + 1]} tokens in all`))).toBeVisible();

  const { download, bytes } = await downloaded(app, 'CSV');
  expect(download.suggestedFilename()).toMatch(/^experts-.*\.csv$/);
  const lines = bytes.toString().trim().split('\n');
  expect(lines.shift()).toBe('layer,expert,load,tokens');
  const cells = lines.map((line) => line.split(',').map(Number));
  expect(cells.map(([layer = -1, expert = -1]) => layer * SHAPE.experts + expert)).toEqual(counts.map((_, index) => index));
  expect(cells.map(([, , , tokens]) => tokens)).toEqual(counts);
  expect(cells.map(([, , load]) => load)).toEqual(counts); // nothing fades

  await app.getByRole('button', { name: 'Show as a table' }).click();
  for (const layer of [0, 3]) {
    await app.getByRole('combobox', { name: 'Layer of the table' }).click();
    await app.getByRole('option', { name: `layer ${layer}` }).click();
    const shown = await rowsOf(app.getByRole('table', { name: new RegExp(`layer ${layer}$`) }));
    const ofLayer = counts.slice(layer * SHAPE.experts, (layer + 1) * SHAPE.experts);
    const sum = ofLayer.reduce((total, count) => total + count, 0);
    const expected = ofLayer.map((count, expert) => [String(expert), count.toFixed(2), `${((count / sum) * 100).toFixed(1)}%`, String(count)]);
    expect(shown).toEqual(expected);
  }
  const image = (await downloaded(app, 'PNG')).bytes;
  expect(image.subarray(1, 4).toString()).toBe('PNG');
  expect([image.readUInt32BE(16), image.readUInt32BE(20)]).toEqual([32 * 24 + 72, 4 * 24 + 78]);
});

test('the token inspector shows experts and weights of every token in every layer', async ({ app, core }) => {
  await modelLoaded(core);
  await openChat(app, core, repeatable(6));
  await send(app, 'What is a dwarf?');
  await answered(app);
  await replies(app).getByRole('button', { name: 'Inspect its tokens' }).click();
  const tokens = app.getByRole('toolbar', { name: 'Tokens' }).getByRole('button');
  const messageId = new URLSearchParams(app.url().split('?')[1]).get('message') ?? '';
  const routes = await core.call('experts.tokens', { messageId });
  await expect(tokens).toHaveCount(routes.total);
  expect(routes.tokens.map(({ text }) => text).join('')).toContain('What is a dwarf?');
  expect(routes.tokens.filter(({ prompt }) => !prompt).length).toBeGreaterThanOrEqual(5);

  const chosen = app.getByRole('toolbar', { name: 'Tokens' }).locator('[aria-pressed="true"]');
  await chosen.focus();
  await app.keyboard.press('Home');
  for (const [index, key] of [
    [2, 'ArrowRight ArrowRight'],
    [routes.total - 1, 'End'],
    [routes.total - 2, 'ArrowLeft'],
  ] as const) {
    for (const one of key.split(' ')) await app.keyboard.press(one);
    const token = routes.tokens[index];
    await expect(chosen).toHaveAccessibleName(new RegExp(`^Token ${token?.position}:`));
    await expect(chosen).toBeFocused();
    expect(await shownRoutes(app.getByRole('region', { name: `Experts of token ${token?.position}` }))).toEqual(expectedRoutes(token));
  }
  const [, , weights] = routes.tokens.at(-1)?.weights ?? [];
  expect((weights ?? []).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 2);
});

/** Of every layer: expert, weight, expert, weight, ...; a sentence where it was not evaluated. */
async function shownRoutes(panel: Locator): Promise<string[][]> {
  const rows = await panel.locator('tbody tr td').all();
  return Promise.all(rows.map((row) => row.locator('span:not(:has(span)):not([style])').allTextContents()));
}

function expectedRoutes(token: TokenRoute | undefined): unknown[] {
  return (token?.experts ?? []).map((experts, layer) => {
    if (experts.some((expert) => expert < 0)) return [expect.stringContaining('Not evaluated')];
    return experts.flatMap((expert, choice) => [String(expert), (token?.weights[layer]?.[choice] ?? -1).toFixed(3)]);
  });
}

test('two conversations are compared layer by layer', async ({ app, core }) => {
  await modelLoaded(core);
  for (const text of ['What is a dwarf?', 'In the beginning God created']) {
    await openChat(app, core, repeatable());
    await send(app, text);
    await answered(app);
  }
  await goTo(app, 'experts/compare');
  const table = app.getByRole('table', { name: 'Divergence of every layer' });
  await expect(table).toBeVisible();
  const bits = async () => (await rowsOf(table)).map(([, value]) => Number(value));
  for (const value of await bits()) {
    expect(value).toBeGreaterThan(0);
    expect(value).toBeLessThanOrEqual(1);
  }
  await expect(app.getByRole('application')).toHaveCount(2);
  await app.getByRole('combobox', { name: 'Second conversation' }).click();
  await app.getByRole('option', { name: /In the beginning/ }).click();
  await app.getByRole('combobox', { name: 'First conversation' }).click();
  await app.getByRole('option', { name: /In the beginning/ }).click();
  await expect.poll(bits).toEqual([0, 0, 0, 0]);
});
