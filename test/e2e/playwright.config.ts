// The app in a real Chromium against the real engine: `moebius serve` with its own data folder for every test (see fixture.ts).
import { join } from 'node:path';
import { defineConfig, devices } from '@playwright/test';
import { findChromium } from './chromium.ts';

const results = join(import.meta.dirname, '../results');

export default defineConfig({
  testDir: import.meta.dirname,
  globalSetup: './build.ts',
  outputDir: join(results, 'e2e'),
  // The engine uses every core: one test at a time.
  workers: 1,
  fullyParallel: false,
  // A second try tells a slow machine from a broken app; the report calls it flaky.
  retries: 1,
  timeout: 60_000,
  expect: { timeout: 10_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list'], ['json', { outputFile: process.env.PLAYWRIGHT_JSON_OUTPUT_FILE ?? join(results, 'e2e.json') }]],
  use: {
    ...devices['Desktop Chrome'],
    viewport: { width: 1440, height: 900 },
    launchOptions: { executablePath: findChromium(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] },
    trace: 'on-first-retry',
    screenshot: 'only-on-failure',
  },
});
