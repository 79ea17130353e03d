// How the specs use the Fine-tune page.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import type { TrainingPlan, TrainingRun } from '../../main/contract/index.ts';
import type { CoreClient } from '../support/core-client.ts';
import { EMBEDDED } from './app.ts';

export const datasets = join(import.meta.dirname, '../data/datasets');
export const roman = join(datasets, 'roman-numerals.jsonl');

/** Small enough to take seconds. */
export const quick: TrainingPlan = {
  data: { files: [roman], validation: 0.2 },
  adapter: { attention: { loraRank: 4 }, experts: { loraRank: 4 } },
  schedule: { kind: 'constant', steps: 6, learningRate: 0.002 },
  batchTokens: 256,
  validateEvery: 3,
  saveEvery: 3,
  samples: { prompts: ['Write 14 as a Roman numeral.'], maxTokens: 12 },
  threads: 1,
};
export const begin = (core: CoreClient, name: string, plan: TrainingPlan): Promise<TrainingRun> =>
  core.call('training.create', { name, modelId: EMBEDDED, plan });

/** Waits until the run is done; fails with why it failed. */
export async function done(core: CoreClient, id: string): Promise<void> {
  const state = async () => {
    const run = await core.call('training.get', { id });
    return run.error ? `failed: ${run.error.message}` : run.state;
  };
  await expect.poll(state, { timeout: 90_000 }).toBe('done');
}

export async function addFile(page: Page, path: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Path of a file' }).fill(path);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
}

export async function fillNumber(page: Page, name: string, value: string): Promise<void> {
  const field = page.getByRole('spinbutton', { name, exact: true });
  await field.fill(value);
  await field.press('Enter');
}

/** x and y of a chart's drawn pixels would be a guess; its export says what it shows. */
export async function chartRows(page: Page, title: string): Promise<string[][]> {
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: `${title} as CSV`, exact: true }).click();
  const text = readFileSync(await (await downloading).path(), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => line.split(','));
}
