import {
  answered,
  composer,
  endless,
  goTo,
  letters,
  longContext,
  modelLoaded,
  openChat,
  questions,
  repeatable,
  replies,
  replyText,
  send,
  stopped,
  streaming,
} from './app.ts';
import { expect, test } from './fixture.ts';

const FIRST_REPLY_SECONDS = 10;

test('on a first start a sample prompt is answered within ten seconds of the page opening', async ({ page, served }) => {
  const start = performance.now();
  await page.goto(served.url);
  const samples = page.getByRole('list', { name: 'Things to try' }).getByRole('button');
  await expect(samples).toHaveCount(3);
  await samples.first().click();
  await expect.poll(() => replyText(replies(page)), { timeout: 20_000, intervals: [20] }).not.toBe('');
  expect((performance.now() - start) / 1000).toBeLessThan(FIRST_REPLY_SECONDS);
  await expect(page.getByRole('main').getByText(/tok\/s/)).toBeVisible();
  await answered(page);
  await expect(replies(page)).toContainText(/tok\/s.*first token.*tokens?.*seed \d+/);
});

test('a stopped reply keeps what was streamed, and can go on', async ({ app, core }) => {
  await modelLoaded(core, longContext);
  const { id } = await openChat(app, core, endless);
  await send(app, 'What is a dwarf?');
  const reply = replies(app);
  await streaming(reply);
  await app.getByRole('button', { name: 'Stop the reply' }).click();
  await stopped(app);
  const kept = (await core.call('chats.get', { id })).messages.at(-1);
  expect(kept).toMatchObject({ role: 'assistant', state: 'stopped', finishReason: 'cancelled' });
  expect(kept?.text.length).toBeGreaterThan(20);
  expect(letters(await replyText(reply))).toBe(letters(kept?.text ?? ''));

  await reply.getByRole('button', { name: 'Continue' }).click();
  await expect.poll(async () => letters(await replyText(reply)).length, { intervals: [50] }).toBeGreaterThan(letters(kept?.text ?? '').length + 20);
  await composer(app).press('Escape');
  await stopped(app);
  const continued = (await core.call('chats.get', { id })).messages;
  expect(continued).toHaveLength(2);
  expect(continued.at(-1)?.text.startsWith(kept?.text ?? '?')).toBe(true);
});

test('regenerating and editing make branches, which outlive a reload of the page', async ({ app, core }) => {
  await modelLoaded(core);
  const { id } = await openChat(app, core, { ...repeatable(), sampling: { temperature: 1 } });
  await send(app, 'What is a dwarf?');
  await answered(app);
  const first = await replyText(replies(app));
  await replies(app).getByRole('button', { name: 'Regenerate' }).click();
  await expect(replies(app).getByText('2/2')).toBeVisible({ timeout: 30_000 });
  const second = await replyText(replies(app));
  await replies(app).getByRole('button', { name: 'Previous branch' }).click();
  await expect(replies(app).getByText('1/2')).toBeVisible();
  await expect.poll(() => replyText(replies(app))).toBe(first);

  await questions(app).hover();
  await questions(app).getByRole('button', { name: 'Edit' }).click();
  await app.getByRole('textbox', { name: 'Edit the message' }).fill('What is 12 + 30?');
  await app.getByRole('button', { name: 'Send as a new branch' }).click();
  await expect(questions(app)).toContainText('What is 12 + 30?');
  await expect.poll(() => replyText(replies(app))).not.toBe(''); // it has begun
  await answered(app);
  const edited = await replyText(replies(app));
  expect((await core.call('chats.get', { id })).messages).toHaveLength(5);

  await app.reload();
  await expect(questions(app)).toContainText('What is 12 + 30?');
  await expect.poll(() => replyText(replies(app))).toBe(edited);
  await questions(app).hover();
  await questions(app).getByRole('button', { name: 'Previous branch' }).click();
  await expect(questions(app)).toContainText('What is a dwarf?');
  await questions(app).getByRole('button', { name: 'Next branch' }).click();
  await questions(app).getByRole('button', { name: 'Previous branch' }).click();
  await replies(app).hover();
  await expect.poll(async () => [first, second].includes(await replyText(replies(app)))).toBe(true);
});

test('a preset keeps parameters and gives them to another chat', async ({ app, core }) => {
  await modelLoaded(core);
  await openChat(app, core, repeatable(200));
  await app.keyboard.press('Control+.');
  const panel = app.getByRole('complementary', { name: 'Parameters' });
  await panel.getByLabel('Longest reply').fill('5');
  await panel.getByLabel('Longest reply').press('Enter');
  await panel.getByRole('button', { name: 'Preset actions' }).click();
  await app.getByRole('menuitem', { name: 'Save as new preset…' }).click();
  await app.getByRole('dialog').getByLabel('Name').fill('Five tokens');
  await app.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await expect(panel.getByRole('combobox', { name: 'Preset' })).toHaveText('Five tokens');

  await goTo(app, 'chat');
  await panel.getByRole('combobox', { name: 'Preset' }).click();
  await app.getByRole('option', { name: 'Five tokens' }).click();
  await expect(panel.getByLabel('Longest reply')).toHaveValue('5');
  await send(app, 'In the beginning God created');
  await answered(app);
  await expect(replies(app)).toContainText(/5 tokens.*length limit/);
});

test('chats are found by their words, renamed, and deleted', async ({ app, core }) => {
  await modelLoaded(core);
  await openChat(app, core, repeatable(4));
  await send(app, 'A zebra walks');
  await answered(app);
  await openChat(app, core, repeatable(4));
  await send(app, 'A giraffe walks');
  await answered(app);
  const list = app.getByRole('list', { name: 'Chats' });
  await expect(list.getByRole('link')).toHaveCount(2);
  await app.getByPlaceholder('Search chats').fill('zebra');
  await expect(list.getByRole('link')).toHaveCount(1);
  await list.getByRole('link').press('F2');
  await app.getByRole('textbox', { name: 'Title of the chat' }).fill('Striped');
  await app.keyboard.press('Enter');
  await expect(list.getByRole('link', { name: /Striped/ })).toBeVisible();
  await list.getByRole('link').press('Delete');
  await app.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click();
  await app.getByPlaceholder('Search chats').fill('');
  await expect(list.getByRole('link')).toHaveCount(1);
  await expect(list.getByRole('link')).toContainText('giraffe');
});

test('what a model thinks is shown apart from its answer, while it streams and afterwards', async ({ app, core }) => {
  await modelLoaded(core, longContext);
  const grammar = 'root ::= "<think>" [a-z ]{1800,1850} "</think>" "The answer is 42."';
  await openChat(app, core, { maxTokens: 2000, sampling: { temperature: 0.8, seed: 7, grammar } });
  await send(app, 'What is 6 times 7?');
  const reply = replies(app);
  await expect(reply.getByText('Thinking…')).toBeVisible({ timeout: 20_000 });
  await answered(app);
  const thought = reply.locator('details');
  await expect(thought).toContainText('Reasoning');
  await expect(thought).not.toHaveAttribute('open');
  await expect(reply.getByText('The answer is 42.', { exact: true })).toBeVisible();
  await expect(reply).not.toContainText('think>');
  await thought.getByText('Reasoning').click();
  await expect(thought).toContainText(/^Reasoning[a-z ]{1790,1850}$/);
});
