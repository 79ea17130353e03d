// Which browser the tests drive: CHROMIUM_PATH, else one that the system has.
import { existsSync } from 'node:fs';
import { findProgram } from '../../main/setup/process.mjs';
import { chromiumNames } from '../../main/setup/system.mjs';

/** Where browsers are that PATH does not name. */
const elsewhere = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
];

/** Throws if there is none: a browser test without a browser is a failure, not a skip. */
export function findChromium(): string {
  const path = process.env.CHROMIUM_PATH ?? findProgram(chromiumNames) ?? elsewhere.find((candidate) => existsSync(candidate));
  if (!path) throw new Error(`No Chromium was found (${chromiumNames.join(', ')}). Install one, or name its program in CHROMIUM_PATH.`);
  return path;
}
