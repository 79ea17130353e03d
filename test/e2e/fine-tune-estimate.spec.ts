import { EMBEDDED, goTo } from './app.ts';
import { addFile, fillNumber, roman } from './fine-tune.ts';
import { expect, test } from './fixture.ts';

test('the form says what a run takes, and one without room fails with the numbers', async ({ app, core }) => {
  test.setTimeout(180_000);
  await core.call('settings.get', {});
  await goTo(app, 'fine-tune/new');
  await addFile(app, roman);
  const memory = app.getByRole('meter', { name: 'Memory of the run on CPU' });
  await expect(memory).toHaveAttribute('aria-valuetext', /^[\d.]+ [KMG]iB of [\d.]+ [GT]iB free$/, { timeout: 60_000 });
  await expect(app.getByText(/^(about \d+|less than a second)/)).toBeVisible({ timeout: 60_000 });
  const before = await memory.getAttribute('aria-valuetext');
  await fillNumber(app, 'Rank on Experts', '64');
  await expect(memory).not.toHaveAttribute('aria-valuetext', before ?? '', { timeout: 60_000 });
  const larger = await memory.getAttribute('aria-valuetext');
  await app.getByText('Advanced', { exact: true }).click();
  await expect(app.getByRole('checkbox', { name: /^Head / })).toBeDisabled(); // which is the embedding
  await app.getByRole('checkbox', { name: /^Embedding / }).click();
  await expect(memory).not.toHaveAttribute('aria-valuetext', larger ?? '', { timeout: 60_000 });

  const plan = {
    data: { files: [roman], validation: 0.2 },
    adapter: { experts: { loraRank: 4 } },
    schedule: { steps: 6 },
    batchTokens: 256,
    devices: { experts: [{ device: 'CPU', bytes: 100_000 }] },
  };
  const run = await core.call('training.create', { name: 'too big', modelId: EMBEDDED, plan });
  await expect.poll(async () => (await core.call('training.get', { id: run.id })).error?.code, { timeout: 60_000 }).toBe('model.does-not-fit');
  await goTo(app, `fine-tune/run/${run.id}`);
  await expect(app.getByRole('alert').filter({ hasText: '100000 bytes' })).toBeVisible();
});
