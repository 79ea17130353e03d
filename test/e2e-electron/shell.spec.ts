import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { _electron, type ElectronApplication, expect, type Page, test } from '@playwright/test';
import { electronProgram, whyNoWindow } from '../../main/setup/electron.mjs';

const root = join(import.meta.dirname, '../..');
const program = electronProgram();
const noWindow = whyNoWindow({ platform: process.platform, environment: { ...process.env, CI: undefined }, isRoot: process.getuid?.() === 0 });
const reason = program === null ? "Electron's binary is not installed (npm start -- --window downloads it)" : noWindow;
if (reason) process.stderr.write(`e2e-electron: skipped, ${reason}\n`);

test.skip(reason !== null, reason ?? '');

let dataFolder = '';
let app: ElectronApplication;
let page: Page;

test.beforeEach(async () => {
  dataFolder = mkdtempSync(join(tmpdir(), 'moebius-electron-'));
  app = await _electron.launch({ executablePath: program ?? '', args: [root], env: { ...process.env, MOEBIUS_DATA: dataFolder } });
  page = await app.firstWindow();
});
test.afterEach(async () => {
  await app.close();
  rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 });
});

test('shows the UI from its own protocol, connected to the core', async () => {
  expect(page.url()).toBe('moebius://app/');
  await expect(page.getByRole('navigation').first()).toBeVisible();
});

test('gives the page the bridge and nothing of Node or Electron', async () => {
  const seen = await page.evaluate(() => ({
    bridge: Object.keys(window.moebius ?? {}),
    others: ['require', 'process', 'module', 'Buffer', 'electron'].filter((name) => name in globalThis),
  }));
  expect(seen).toEqual({ bridge: ['connect', 'chooseFolder', 'chooseFile', 'pathOfFile'], others: [] });
});

test('stays on its page and opens no window', async () => {
  await page.evaluate(() => {
    window.open('http://127.0.0.1:9/');
    window.location.href = 'http://127.0.0.1:9/';
  });
  await page.waitForTimeout(500);
  expect(page.url()).toBe('moebius://app/');
  expect(app.windows()).toHaveLength(1);
});
