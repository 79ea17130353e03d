// The desktop window: runs where Electron's binary is installed and a window can be shown, and is reported as skipped elsewhere.
import { join } from 'node:path';
import { defineConfig } from '@playwright/test';

const results = join(import.meta.dirname, '../results');

export default defineConfig({
  testDir: import.meta.dirname,
  outputDir: join(results, 'e2e-electron'),
  workers: 1,
  timeout: 60_000,
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list'], ['json', { outputFile: process.env.PLAYWRIGHT_JSON_OUTPUT_FILE ?? join(results, 'e2e-electron.json') }]],
});
