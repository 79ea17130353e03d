import type { CoreClient } from '../support/core-client.ts';
import { EMBEDDED, goTo, letters, modelLoaded, repeatable, replies, replyText } from './app.ts';
import { expect, test } from './fixture.ts';

const QUESTIONS = ['What is a dwarf?', 'In the beginning God created', 'What is 12 + 30?', 'The sea and the wind'];
const TOKENS = 160;
/** Characters that must be the same. Batches of another size take other kernels, whose rounding may decide a near tie further on. */
const SAME = 20;

async function newChats(core: CoreClient): Promise<string[]> {
  const chats = QUESTIONS.map(async () => {
    const { id } = await core.call('chats.create', { modelId: EMBEDDED });
    await core.call('chats.update', { id, parameters: repeatable(TOKENS) });
    return id;
  });
  return Promise.all(chats);
}

/** Sends the question of every chat; resolves with each reply's text, as streamed and as stored, when all have ended. */
async function ask(core: CoreClient, chats: string[], together: boolean): Promise<string[]> {
  const streamed = new Map<string, string>();
  const stored = new Map<string, string>();
  const offDelta = core.on('chat.delta', ({ chatId, offset, text }) => {
    const before = streamed.get(chatId) ?? '';
    expect(offset).toBe(before.length);
    streamed.set(chatId, before + text);
  });
  const offMessage = core.on('chat.message', (message) => {
    if (message.role === 'assistant' && message.state === 'complete') stored.set(message.chatId, message.text);
  });
  const done = (id: string) => expect.poll(() => stored.has(id), { timeout: 60_000, intervals: [20] }).toBe(true);
  const begin = (id: string, index: number) => core.call('chat.send', { chatId: id, text: QUESTIONS[index] ?? '' });
  if (together) {
    await Promise.all(chats.map(begin));
    await Promise.all(chats.map(done));
  } else {
    for (const [index, id] of chats.entries()) {
      await begin(id, index);
      await done(id);
    }
  }
  offDelta();
  offMessage();
  for (const id of chats) expect(stored.get(id)).toContain(streamed.get(id)?.trim() ?? '?');
  return chats.map((id) => stored.get(id) ?? '');
}

test('four conversations that stream at once begin as each does alone, and none gets a piece of another', async ({ app, core }) => {
  test.setTimeout(120_000);
  await modelLoaded(core);
  const alone = await ask(core, await newChats(core), false);
  const beginnings = (texts: string[]) => texts.map((text) => text.slice(0, SAME));
  expect(new Set(beginnings(alone)).size).toBe(QUESTIONS.length);

  const chats = await newChats(core);
  await goTo(app, `chat/${chats[2]}`);
  const sawFour = expect(app.getByRole('contentinfo').getByText(/4 replies/)).toBeVisible({ timeout: 60_000 });
  const together = await ask(core, chats, true);
  await sawFour;
  expect(beginnings(together)).toEqual(beginnings(alone));

  for (const [index, id] of chats.entries()) {
    await goTo(app, `chat/${id}`);
    await expect(app.getByRole('article', { name: 'You' })).toContainText(QUESTIONS[index] ?? '?');
    await expect.poll(async () => letters(await replyText(replies(app)))).toBe(letters(together[index] ?? ''));
  }
});
