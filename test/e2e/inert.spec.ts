import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { goTo, replies } from './app.ts';
import { expect, test } from './fixture.ts';

const payloads = readFileSync(new URL('../data/xss.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.replaceAll('\\n', '\n'));

/** An export file whose replies are the payloads; the titles, system prompt and questions carry them too. */
function conversation(): string {
  const common = { toolCalls: [], state: 'complete', finishReason: 'stop', error: null, modelId: 'tiny-moe', stats: null, createdAt: 1 };
  const messages = payloads.flatMap((payload, index) => {
    const parentId = index === 0 ? null : `reply-${index - 1}`;
    const question = { ...common, id: `question-${index}`, parentId, role: 'user', text: payload, reasoning: '', modelId: null };
    const reply = {
      ...common,
      id: `reply-${index}`,
      parentId: question.id,
      role: 'assistant',
      text: `Reply ${index}: ${payload}\n\n${payload}`,
      reasoning: payload,
    };
    return [question, reply];
  });
  const chat = { title: payloads[0], modelId: 'tiny-moe', systemPrompt: payloads.join('\n'), parameters: {}, presetId: null, createdAt: 1, updatedAt: 1 };
  return JSON.stringify({ format: 'moebius-chats', version: 1, chats: [{ ...chat, leafId: messages.at(-1)?.id, messages }] });
}

/** What a page must never do, in the order in which it did it. */
function watch(page: Page, origin: string): string[] {
  const seen: string[] = [];
  const own = (url: string) => url.startsWith(origin) || url.startsWith(origin.replace('http', 'ws')) || /^(data|blob|about):/.test(url);
  page.on('dialog', (dialog) => {
    seen.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => own(request.url()) || seen.push(`request: ${request.url()}`));
  page.on('popup', (popup) => seen.push(`popup: ${popup.url()}`));
  page.on('framenavigated', (frame) => own(frame.url()) || seen.push(`navigation: ${frame.url()}`));
  page.on('download', (download) => seen.push(`download: ${download.url()}`));
  page.on('pageerror', (error) => seen.push(`error: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && seen.push(`console: ${message.text()}`));
  return seen;
}

/** Shows every message once, from the first to the last, and points at what is shown. */
async function readThrough(page: Page, count: number): Promise<Set<string>> {
  const list = page.getByRole('region', { name: 'Messages' });
  await list.evaluate((element) => {
    element.scrollTop = 0;
  });
  const read = new Set<string>();
  for (let step = 0; step < 400 && read.size < count; step++) {
    for (const text of await replies(page).allTextContents()) read.add(/Reply (\d+):/.exec(text)?.[1] ?? '');
    read.delete('');
    for (const summary of await page.getByText('Reasoning', { exact: true }).all())
      await summary.evaluate((element) => element.closest('details')?.setAttribute('open', ''));
    await list.evaluate((element) => {
      element.scrollTop += element.clientHeight * 0.7;
    });
    await page.waitForTimeout(30);
  }
  return read;
}

test(`${payloads.length} hostile texts, shown in the browser under the production policy, run nothing and load nothing`, async ({ app, core, served }) => {
  test.setTimeout(180_000);
  const { origin } = new URL(served.url);
  const policy = (await fetch(origin)).headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self';");
  const seen = watch(app, origin);
  const pages = app.context().pages().length;
  const [chat] = await core.call('chats.import', { format: 'json', content: conversation() });
  await goTo(app, `chat/${chat?.id}`);
  await expect(replies(app).last()).toBeVisible();
  const read = await readThrough(app, payloads.length);
  expect(read.size).toBe(payloads.length);
  await app.keyboard.press('Control+.'); // the system prompt
  await goTo(app, 'experts/tokens'); // titles in pickers
  await app.waitForTimeout(500);
  expect(seen).toEqual([]);
  expect(app.context().pages()).toHaveLength(pages);
  // nothing that could still act: no script, frame, form, foreign picture or handler came out of a text
  await goTo(app, `chat/${chat?.id}`);
  await expect(replies(app).last()).toBeVisible();
  const foreign = await replies(app).evaluateAll((articles) =>
    articles.flatMap((article) =>
      [...article.querySelectorAll('*')]
        .filter(
          (element) =>
            /^(script|iframe|object|embed|form|base|meta|link|style|audio|video|input|select|textarea)$/i.test(element.tagName) ||
            [...element.attributes].some(({ name, value }) => name.startsWith('on') || /^\s*javascript:/i.test(value)) ||
            (element.tagName === 'IMG' && !/^(data|blob):/.test(element.getAttribute('src') ?? '')),
        )
        .map((element) => element.outerHTML.slice(0, 200)),
    ),
  );
  expect(foreign).toEqual([]);
});
