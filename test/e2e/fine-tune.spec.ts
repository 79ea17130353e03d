import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import type { TrainingPlan, TrainingRun } from '../../main/contract/index.ts';
import type { CoreClient } from '../support/core-client.ts';
import { goTo, SHAPE } from './app.ts';
import { addFile, begin, chartRows, datasets, done, fillNumber, quick, roman } from './fine-tune.ts';
import { expect, test } from './fixture.ts';

/** Goes on until it is stopped. */
const endless: TrainingPlan = { ...quick, schedule: { steps: 100_000, learningRate: 0.001 }, saveEvery: 0, samples: undefined };

const folder = test.extend<{ folder: string }>({
  folder: async ({ browserName: _ }, use) => {
    const made = mkdtempSync(join(tmpdir(), 'moebius-tune-'));
    await use(made);
    rmSync(made, { recursive: true, force: true });
  },
});

test('the empty page teaches, and the form says what it lacks', async ({ app, core }) => {
  await core.call('settings.get', {});
  await app.keyboard.press('Control+5');
  await expect(app.getByRole('heading', { name: 'Nothing was fine-tuned yet' })).toBeVisible();
  await app.getByRole('button', { name: 'New run' }).click();
  await expect(app.getByRole('heading', { level: 1, name: 'New run' })).toBeVisible();
  await expect(app.getByRole('button', { name: 'Begin' })).toBeDisabled();
  await addFile(app, join(datasets, 'not-there.jsonl'));
  await expect(app.getByRole('alert').filter({ hasText: 'not-there.jsonl' })).toBeVisible();
  await expect(app.getByRole('button', { name: 'Begin' })).toBeDisabled();
});

test('data is shown as the model sees it, bad rows with their lines, and an unclear format is mapped by hand', async ({ app, core }) => {
  await core.call('settings.get', {});
  await goTo(app, 'fine-tune/new');
  await addFile(app, join(datasets, 'bad/messages.jsonl'));
  const bad = app.getByRole('table', { name: 'Rows that are left out' });
  await expect(bad.getByRole('row').nth(1)).toContainText('messages.jsonl:');
  await app.getByRole('button', { name: /^Take .* out$/ }).click();

  await addFile(app, roman);
  const preview = app.getByRole('region', { name: 'Text of the example' });
  const [first] = readFileSync(roman, 'utf8').split('\n');
  const [question, answer] = (JSON.parse(first ?? '') as { messages: { content: string }[] }).messages;
  await expect(preview).toContainText(`<|im_start|>user\n${question?.content}<|im_end|>`);
  await expect(preview.locator('mark')).toHaveText(`${answer?.content}<|im_end|>`);
  await app.getByRole('button', { name: 'Next example' }).click();
  await expect(app.getByText('roman-numerals.jsonl:2')).toBeVisible();
  await expect(
    app
      .getByRole('list', { name: /^Tokens of an example/ })
      .getByRole('listitem')
      .last(),
  ).toBeVisible();
  await app.getByRole('button', { name: /^Take .* out$/ }).click();

  await addFile(app, join(datasets, 'questions.csv'));
  await expect(app.getByText('It is not clear how questions.csv is meant')).toBeVisible();
  await app.getByRole('button', { name: /Read as prompt-completion, prompt is question, completion is answer/ }).click();
  await expect(app.getByRole('combobox', { name: 'Column of “prompt”' })).toHaveValue('question');
  await expect(preview.locator('mark')).toBeVisible();
  await expect(app.getByRole('button', { name: 'Begin' })).toBeEnabled();
});

folder('a run is made with the form, watched, asked, compared with its base and exported', async ({ app, core, folder: exports }) => {
  test.setTimeout(240_000);
  await core.call('settings.get', {});
  await goTo(app, 'fine-tune/new');
  await addFile(app, roman);
  await expect(app.getByRole('figure').filter({ hasText: 'As the model sees it' })).toBeVisible({ timeout: 30_000 }); // an engine starts for it
  await expect(app.getByRole('combobox', { name: 'Begin with' })).toContainText('Experts and attention');
  await app.getByRole('textbox', { name: 'Name of the run' }).fill('roman');
  await fillNumber(app, 'Share for validation', '0.2');
  for (const part of ['Attention', 'Experts']) await fillNumber(app, `Rank on ${part}`, '4');
  await fillNumber(app, 'Steps', '12');
  await fillNumber(app, 'Learning rate', '0.002');
  await fillNumber(app, 'Tokens of a batch', '256');
  await fillNumber(app, 'Warm-up steps', '30');
  await expect(app.getByRole('alert').filter({ hasText: 'The warm-up has 30 steps, and the run only 12.' })).toBeVisible();
  await expect(app.getByRole('button', { name: 'Begin' })).toBeDisabled();
  await fillNumber(app, 'Warm-up steps', '2');
  await expect(app.getByRole('img', { name: /^Learning rate: at most 2e-3/ })).toBeVisible();
  await app.getByText('Advanced', { exact: true }).click();
  await fillNumber(app, 'CPU threads', '1');
  await fillNumber(app, 'Validate every', '4');
  await fillNumber(app, 'Checkpoint every', '6');
  await app.getByRole('checkbox', { name: /^Draw how many experts/ }).click();
  await app.getByRole('checkbox', { name: /^Validate with each number/ }).click();
  await app.getByRole('textbox', { name: 'Your questions' }).fill('Write 14 as a Roman numeral.');
  await fillNumber(app, 'Tokens of an answer', '12');
  await app.getByRole('button', { name: 'Begin' }).click();

  await expect(app.getByRole('heading', { level: 1, name: 'roman' })).toBeVisible();
  await expect(app.getByText(/^step \d+ of 12/)).toBeVisible();
  const [run] = await core.call('training.list', {});
  if (!run) throw new Error('the run is in the list');
  expect(run.plan).toMatchObject({ adapter: { experts: { loraRank: 4 } }, schedule: { steps: 12, learningRate: 0.002, warmupSteps: 2 }, batchTokens: 256 });
  await expect(app.getByText(/every part that data reached of the \d+ tensors has moved/)).toBeVisible({ timeout: 60_000 });
  await done(core, run.id);
  await expect(app.getByText('done', { exact: true })).toBeVisible();
  await watched(app);
  await askedAndExported(app, core, run, exports);
});

/** What the charts and grids of the run of 12 steps show. */
async function watched(app: Page): Promise<void> {
  await expect(app.getByText(/^40 rows, 40 good and 0 bad; \d+ for training/)).toBeVisible();
  const [head, ...losses] = await chartRows(app, 'Loss');
  expect(head).toEqual(['step', 'training', 'validation']);
  expect(losses.map(([step]) => Number(step))).toEqual(Array.from({ length: 13 }, (_, step) => step));
  expect(losses.filter(([, training]) => training === '')).toHaveLength(1); // before the first step there is only validation
  const validations = losses.flatMap(([, , validation]) => (validation === '' ? [] : [Number(validation)]));
  expect(validations).toHaveLength(4);
  expect(validations.at(-1)).toBeLessThan(validations[0] ?? 0);
  const [numbers, ...byNumber] = await chartRows(app, 'Validation loss by experts of a token');
  expect(numbers).toEqual(['step', '1 expert', '2 experts']);
  expect(byNumber.map(([, , own]) => Number(own))).toEqual(validations); // with as many as the model uses
  await expect(app.getByText('with 1 to 2 experts a token')).toBeVisible();
  const rates = (await chartRows(app, 'Learning rate')).slice(1).map(([, rate]) => Number(rate));
  expect(rates.slice(0, 2)).toEqual([0.001, 0.002]);
  for (const title of ['Gradient norm', 'Speed', 'Memory']) {
    for (const [, value] of (await chartRows(app, title)).slice(1)) expect(Number(value), title).toBeGreaterThan(0);
  }
  const load = app.getByRole('application', { name: /^Tokens of each expert of roman/ });
  await load.focus();
  await app.keyboard.press('ArrowRight');
  await expect(app.getByText(/layer 0 · expert 0 · \d+ tokens of this step/)).toBeVisible();
  const movement = app.getByRole('application', { name: /^Movement of each expert of roman/ });
  await movement.focus();
  await app.keyboard.press('ArrowRight');
  await expect(app.getByText(/layer 0 · expert 0 · (moved by|has not moved)/)).toBeVisible();
  await expect(app.getByText(new RegExp(`(All ${SHAPE.layers * SHAPE.experts} have moved|of ${SHAPE.layers * SHAPE.experts} have not moved)`))).toBeVisible();
  await app.getByRole('radio', { name: 'down' }).click();
  await expect(movement).toBeVisible();
}

async function askedAndExported(app: Page, core: CoreClient, run: TrainingRun, exports: string): Promise<void> {
  await app.getByRole('tab', { name: 'Checkpoints' }).click();
  const newest = app.getByRole('list', { name: 'Checkpoints' }).getByRole('listitem').first();
  await expect(newest.getByRole('heading', { name: 'Step 12' })).toBeVisible();
  await expect(newest.getByRole('row').nth(1)).toContainText('Write 14 as a Roman numeral.', { timeout: 60_000 });
  await newest.getByRole('textbox', { name: 'Question to step 12' }).fill('What is 12 + 30?');
  await newest.getByRole('button', { name: 'Ask' }).click();
  await expect(newest.getByRole('row').filter({ hasText: 'What is 12 + 30?' })).toBeVisible({ timeout: 60_000 });

  await app.getByRole('tab', { name: 'Before and after' }).click();
  await app.getByRole('button', { name: 'Measure' }).click();
  const perplexity = app.getByRole('table', { name: 'Perplexity before and after' });
  await expect(perplexity).toBeVisible({ timeout: 60_000 });
  const figures = await core.call('training.evaluate', { id: run.id, step: 12, ticket: 'test' });
  expect(figures.tuned.perplexity).toBeLessThan(figures.base.perplexity);
  await expect(perplexity.getByRole('row', { name: /^step 12/ })).toContainText(figures.tuned.perplexity.toPrecision(4));

  await app.getByRole('tab', { name: 'Checkpoints' }).click();
  await app.getByRole('button', { name: 'Export step 12' }).click();
  const file = join(exports, 'roman.gguf');
  await app.getByRole('dialog').getByRole('textbox', { name: 'File' }).fill(file);
  await app.getByRole('dialog').getByRole('button', { name: 'Export' }).click();
  await expect(app.getByText(`Written: ${file}`).first()).toBeVisible({ timeout: 60_000 });
  expect(readFileSync(file).subarray(0, 4).toString()).toBe('GGUF');
  expect(statSync(file).size).toBeGreaterThan(100_000);
}

test('a run is paused, goes on, is stopped and deleted; another waits in the queue meanwhile', async ({ app, core }) => {
  test.setTimeout(120_000);
  const run = await begin(core, 'long', endless);
  await begin(core, 'next', quick);
  await begin(core, 'last', quick);
  await goTo(app, 'fine-tune');
  const card = (name: string) =>
    app
      .getByRole('list', { name: 'Runs' })
      .getByRole('listitem')
      .filter({ has: app.getByRole('link', { name, exact: true }) });
  await expect(card('next')).toContainText('queued');
  await expect(card('long')).toContainText(/step [1-9]\d* of 100,000 · [\d.]+k? tok\/s/, { timeout: 60_000 });
  await expect(app.getByRole('contentinfo')).toContainText(/fine-tuning .* · 2 queued/);
  const names = app.getByRole('list', { name: 'Runs' }).getByRole('heading');
  await expect(names).toHaveText(['long', 'next', 'last']);
  await app.getByRole('button', { name: 'Move last up' }).click();
  await expect(names).toHaveText(['long', 'last', 'next']);
  await expect(card('last')).toContainText('next');
  await app.getByRole('button', { name: 'Move last down' }).press('ArrowDown');
  await expect(names).toHaveText(['long', 'next', 'last']);
  await expect(app.getByRole('button', { name: 'Move last down' })).toBeDisabled();
  await app.getByRole('button', { name: 'Pause last' }).click();
  await app.getByRole('button', { name: 'Pause next' }).click();
  await expect(card('next')).toContainText('paused');
  await app.getByRole('button', { name: 'Pause long' }).click();
  await expect(card('long').getByText('paused')).toBeVisible({ timeout: 30_000 });
  const { step } = (await core.call('training.get', { id: run.id })).progress;
  await app.getByRole('button', { name: 'Resume long' }).click();
  await expect.poll(async () => (await core.call('training.get', { id: run.id })).progress.step, { timeout: 60_000 }).toBeGreaterThan(step + 1);

  await card('long').getByRole('link', { name: 'long' }).click();
  await expect(app.getByRole('heading', { level: 1, name: 'long' })).toBeVisible();
  const rows = (await chartRows(app, 'Gradient norm')).slice(1).map(([at]) => Number(at));
  expect(rows).toEqual(Array.from({ length: rows.length }, (_, index) => index + 1)); // nothing is there twice
  await app.getByRole('button', { name: 'Stop long' }).click();
  await app.getByRole('alertdialog').getByRole('button', { name: 'Stop' }).click();
  await expect(app.getByText('stopped', { exact: true })).toBeVisible({ timeout: 30_000 });
  await app.getByRole('button', { name: 'More of long' }).click();
  await app.getByRole('menuitem', { name: 'Delete' }).click();
  await app.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await expect(card('next')).toBeVisible();
  await expect(card('long')).toBeHidden();
  expect(existsSync(run.folder)).toBe(false);
});

test('the base and the tuned model answer the same question beside each other', async ({ app, core }) => {
  test.setTimeout(180_000);
  const { id } = await begin(core, 'beside', { ...quick, schedule: { steps: 3, learningRate: 0.002 }, saveEvery: 0, validateEvery: 0, samples: undefined });
  await done(core, id);
  await goTo(app, 'chat');
  await app.getByRole('button', { name: 'Adapters' }).click();
  const panel = app.getByRole('dialog', { name: 'Adapters' });
  await panel.getByRole('button', { name: 'Add beside, step 3' }).click();
  await expect(panel.getByRole('switch', { name: 'beside, step 3' })).not.toBeChecked({ timeout: 60_000 });
  await expect(panel.getByRole('list', { name: 'Finished runs of this model' })).toBeHidden();
  await app.keyboard.press('Escape');
  await goTo(app, `fine-tune/run/${id}/before-after`);
  await app.getByRole('textbox', { name: 'Question' }).fill('Write 14 as a Roman numeral.');
  await app.getByRole('button', { name: 'Ask both' }).click();
  const side = (name: string) => app.getByRole('article', { name, exact: true }).locator('[class*="markdown"]');
  const [base, tuned] = [side('Base'), side('With the adapter of step 3')];
  for (const answer of [base, tuned]) await expect(answer).toHaveText(/\S/, { timeout: 60_000 });
  await expect.poll(async () => (await base.textContent()) === (await tuned.textContent())).toBe(false);
  expect(await core.call('adapters.list', {})).toHaveLength(1); // the one that was added in the chat
  const stop = app.getByRole('button', { name: 'Stop', exact: true });
  if (await stop.isVisible()) await stop.click();
  await expect(app.getByRole('button', { name: 'Ask both' })).toBeEnabled({ timeout: 30_000 });
});

folder(
  'what no adapter file holds answers beside the base as a merged model, which is kept while they are compared; adapters are exported without it',
  async ({ app, core, folder: exports }) => {
    test.setTimeout(180_000);
    const plan = {
      ...quick,
      adapter: { attention: { loraRank: 2 }, wholeNorms: true },
      schedule: { steps: 2, learningRate: 0.002 },
      saveEvery: 0,
      validateEvery: 0,
      samples: undefined,
    };
    const { id, folder: runFolder } = await begin(core, 'norms', plan);
    await done(core, id);
    await goTo(app, `fine-tune/run/${id}/before-after`);
    await app.getByRole('textbox', { name: 'Question' }).fill('Write 14 as a Roman numeral.');
    await app.getByRole('button', { name: 'Ask both' }).click();
    for (const side of ['Base', 'Merged model of step 2'])
      await expect(app.getByRole('article', { name: side, exact: true }).locator('[class*="markdown"]')).toHaveText(/\S/, { timeout: 60_000 });
    await expect(app.getByText(/^No adapter file holds what this run trained/)).toBeVisible();
    expect(readdirSync(join(runFolder, 'scratch'))).toEqual([]);
    const merged = readdirSync(join(runFolder, 'merged'));
    expect(merged).toHaveLength(1);
    await app.getByRole('textbox', { name: 'Question' }).fill('Write 15 as a Roman numeral.');
    await app.getByRole('button', { name: 'Ask both' }).click();
    await expect(app.getByRole('button', { name: 'Stop', exact: true })).toBeVisible();
    await expect(app.getByRole('button', { name: 'Ask both' })).toBeEnabled({ timeout: 60_000 });
    expect(readdirSync(join(runFolder, 'merged'))).toEqual(merged);

    await app.getByRole('tab', { name: 'Checkpoints' }).click();
    await expect.poll(() => existsSync(join(runFolder, 'merged'))).toBe(false);
    await app.getByRole('button', { name: 'Export step 2' }).click();
    const dialog = app.getByRole('dialog');
    const file = join(exports, 'pairs.gguf');
    await dialog.getByRole('textbox', { name: 'File' }).fill(file);
    await dialog.getByRole('button', { name: 'Export' }).click();
    await expect(dialog.getByRole('alert')).toContainText('Whole tensors were trained');
    await dialog.getByRole('checkbox', { name: /^Without norms/ }).click();
    await dialog.getByRole('button', { name: 'Export' }).click();
    await expect(app.getByText(`Written: ${file}`).first()).toBeVisible({ timeout: 60_000 });
  },
);

test('two runs are compared by their curves and by what they were told', async ({ app, core }) => {
  test.setTimeout(120_000);
  const plan = { ...quick, saveEvery: 0, samples: undefined };
  const first = await begin(core, 'rank 4', plan);
  const second = await begin(core, 'rank 2', { ...plan, adapter: { attention: { loraRank: 4 }, experts: { loraRank: 2 } } });
  for (const { id } of [first, second]) await done(core, id);
  await goTo(app, 'fine-tune');
  await app.getByRole('button', { name: 'Compare runs' }).click();
  const table = app.getByRole('table', { name: 'Results and settings that differ' });
  await expect(table.getByRole('row', { name: /experts\.loraRank/ })).toContainText('2');
  await expect(table.getByRole('row', { name: /attention/ })).toHaveCount(0);
  const [head, ...rows] = await chartRows(app, 'Training loss');
  expect([...(head ?? [])].sort()).toEqual(['rank 2', 'rank 4', 'step']);
  expect(rows).toHaveLength(6);
  for (const row of rows) for (const value of row.slice(1)) expect(Number(value)).toBeGreaterThan(0);
  await app.getByRole('checkbox', { name: 'rank 4' }).click();
  await expect(app.getByText('Choose two or more.')).toBeVisible();
});
