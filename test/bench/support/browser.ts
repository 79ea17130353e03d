// A real Chromium for benchmarks of the UI.
import { type Browser, chromium } from '@playwright/test';
import { findChromium } from '../../e2e/chromium.ts';

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium(), args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}
