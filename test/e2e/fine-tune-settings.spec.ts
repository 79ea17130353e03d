// What the form offers beyond the recipe: preferences, dropout, mixtures, devices.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goTo } from './app.ts';
import { addFile, chartRows, datasets, done, fillNumber, roman } from './fine-tune.ts';
import { expect, test } from './fixture.ts';

const pairs = join(datasets, 'preferences.jsonl');

/** A file of as many pairs as a split needs, deleted with the test's output. */
function writePairs(): string {
  const path = test.info().outputPath('pairs.jsonl');
  const lines = Array.from({ length: 16 }, (_, i) => JSON.stringify({ prompt: `Say ${i}.`, chosen: `It is ${i}.`, rejected: 'No.' }));
  writeFileSync(path, lines.join('\n'));
  return path;
}

test('preference pairs are learnt as such, with the settings of the form, and watched', async ({ app, core }) => {
  test.setTimeout(120_000);
  await core.call('settings.get', {});
  await goTo(app, 'fine-tune/new');
  await addFile(app, writePairs());
  await expect(app.getByRole('figure').filter({ hasText: 'As the model sees it' })).toBeVisible({ timeout: 30_000 }); // an engine starts for it
  await expect(app.getByRole('combobox', { name: 'Begin with' })).toContainText('Experts and attention');
  await app.getByRole('textbox', { name: 'Name of the run' }).fill('pairs');
  for (const part of ['Attention', 'Experts']) await fillNumber(app, `Rank on ${part}`, '4');
  await fillNumber(app, 'Dropout on Experts', '0.1');
  await fillNumber(app, 'Share for validation', '0.25');
  await fillNumber(app, 'Steps', '3');
  await fillNumber(app, 'Warm-up steps', '0');
  await fillNumber(app, 'Learning rate', '0.003');
  await app.getByText('Advanced', { exact: true }).click();
  await fillNumber(app, 'CPU threads', '1');
  await fillNumber(app, 'Validate every', '1');
  await fillNumber(app, 'Beta', '0.2');
  await app.getByRole('checkbox', { name: /^CPU / }).click();
  await fillNumber(app, 'Slots of CPU', '31');
  await expect(app.getByText('The devices have slots for 31 experts of a layer in all, and the model has 32: give them more.').first()).toBeVisible();
  await expect(app.getByRole('button', { name: 'Begin' })).toBeDisabled();
  await fillNumber(app, 'Slots of CPU', '32');
  await fillNumber(app, 'Memory of CPU for experts, GiB', '0.0125'); // two layers of the four have room
  await fillNumber(app, 'Activations kept, GiB', '0');

  await app.getByRole('switch', { name: 'Ask every checkpoint' }).click();
  await expect(app.getByText(/^3 steps of \d+ tokens · preferences \(DPO\) · /)).toBeVisible();
  await app.getByRole('button', { name: 'Begin' }).click();

  await expect(app.getByRole('heading', { level: 1, name: 'pairs' })).toBeVisible();
  const [run] = await core.call('training.list', {});
  if (!run) throw new Error('the run is in the list');
  expect(run.plan).toMatchObject({
    adapter: { attention: { loraRank: 4 }, experts: { loraRank: 4, dropout: 0.1 } },
    dpo: { beta: 0.2 },
    devices: { experts: [{ device: 'CPU', slots: 32, bytes: 13_421_773 }], activationBytes: 0 },
  });
  await done(core, run.id);
  const [head, ...accuracies] = await chartRows(app, 'Pairs the right way round');
  expect(head).toEqual(['step', 'training', 'validation']);
  expect(accuracies.slice(1).map(([step]) => Number(step))).toEqual([1, 2, 3]);
  const [, first, , last] = await chartRows(app, 'Rewards');
  expect(first?.slice(1).map(Number)).toEqual([0, 0]); // adapter and base are the same yet
  expect(Number(last?.[1])).not.toBe(0);
  await expect(app.getByText('pairs the right way', { exact: true })).toBeVisible();
});

test('what does not go together is said where it is chosen', async ({ app, core }) => {
  await core.call('settings.get', {});
  await goTo(app, 'fine-tune/new');
  await addFile(app, pairs);
  await addFile(app, roman);
  await expect(app.getByRole('alert').filter({ hasText: /of the \d+ examples are preference pairs/ })).toBeVisible();
  await expect(app.getByRole('button', { name: 'Begin' })).toBeDisabled();
  const mixture = app.getByRole('checkbox', { name: /^Mixture/ });
  await expect(mixture).toBeDisabled();
  await expect(app.getByText('for models without experts; this one has 32 of its own')).toBeVisible();
});
