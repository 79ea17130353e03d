import { expect, test } from './fixture.ts';

test('the app opens from the announced address, which no longer holds the token afterwards', async ({ app }) => {
  await expect(app).toHaveTitle(/Moebius/);
  await expect(app.getByRole('navigation').first()).toBeVisible();
  expect(app.url()).not.toContain('token=');
});

test('an address works once; the next one is announced', async ({ app, served, browser }) => {
  await expect(app.getByRole('navigation').first()).toBeVisible();
  const open = async (url: string) => {
    // another browser context: no session of the first page
    const page = await (await browser.newContext()).newPage();
    const socket = page.waitForEvent('websocket');
    await page.goto(url);
    const closed = (await socket).waitForEvent('close', { timeout: 3000 });
    return {
      page,
      wasRefused: await closed.then(
        () => true,
        () => false,
      ),
    };
  };
  const used = await open(served.url);
  expect(used.wasRefused).toBe(true);
  const fresh = await open(await served.nextUrl());
  expect(fresh.wasRefused).toBe(false);
  await expect(fresh.page.getByRole('navigation').first()).toBeVisible();
});

test('nothing is loaded from elsewhere and nothing is reported by the browser', async ({ page, served }) => {
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.goto(served.url);
  await expect(page.getByRole('navigation').first()).toBeVisible();
  const { origin } = new URL(served.url);
  expect(requests.filter((url) => !url.startsWith(origin) && !url.startsWith('data:') && !url.startsWith('blob:'))).toEqual([]);
  expect(complaints).toEqual([]);
});

test('Ctrl+C ends it cleanly', async ({ app, served }) => {
  await expect(app.getByRole('navigation').first()).toBeVisible();
  expect(await served.stop()).toBe(0);
});
