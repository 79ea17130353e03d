// `test` and `expect` for the browser specs: each test gets a running app (`served`) and a page that has it open (`app`).
import { test as base, expect, type Page } from '@playwright/test';
import { CoreClient } from '../support/core-client.ts';
import { type Served, type ServeOptions, startServe } from '../support/serve.ts';

interface Fixtures {
  /** set with `test.use({ serveOptions: { flags: ['--api'] } })` */
  serveOptions: ServeOptions;
  served: Served;
  /** a page that shows the app */
  app: Page;
  /** a connection of the test's own to the same core, for what is not what the test is about */
  core: CoreClient;
}

export const test = base.extend<Fixtures>({
  serveOptions: [{}, { option: true }],

  served: async ({ serveOptions }, use, testInfo) => {
    const served = await startServe(serveOptions);
    await use(served);
    const code = await served.stop();
    if (testInfo.status !== testInfo.expectedStatus)
      await testInfo.attach('serve.log', { body: `${served.logs()}\nexit code ${code}\n`, contentType: 'text/plain' });
  },

  app: async ({ page, served }, use, testInfo) => {
    const messages: string[] = [];
    page.on('console', (message) => messages.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => messages.push(`uncaught: ${error.stack ?? error.message}`));
    await page.goto(served.url);
    await use(page);
    if (testInfo.status !== testInfo.expectedStatus) await testInfo.attach('console.log', { body: messages.join('\n'), contentType: 'text/plain' });
  },

  core: async ({ app, served }, use) => {
    await expect(app.getByRole('navigation', { name: 'Pages' })).toBeVisible();
    const core = await CoreClient.connect(await served.nextUrl());
    await use(core);
    core.close();
  },
});

export { expect };
