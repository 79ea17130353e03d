// How the specs use the app: what a person would look for, by its name.
import { AxeBuilder } from '@axe-core/playwright';
import { expect, type Locator, type Page } from '@playwright/test';
import type { Chat, GenerationParameters, LoadOptions } from '../../main/contract/index.ts';
import type { CoreClient } from '../support/core-client.ts';

export const EMBEDDED = 'tiny-moe';
export const EMBEDDED_NAME = 'Moebius Tiny MoE';
/** the embedded model: MoE layers, experts, experts of a token */
export const SHAPE = { layers: 4, experts: 32, used: 2 };

/** its `<|endoftext|>` and `<|im_end|>`, which end replies */
const neverEnd = [4093, 4095].map((token) => ({ token, bias: -1e9 }));

/** A reply that ends only when it is stopped. */
export const endless: GenerationParameters = {
  overflow: 'shift',
  sampling: { temperature: 0.8, seed: 7, logitBias: neverEnd },
};

/** The same reply every time, of so many tokens at most. */
export function repeatable(maxTokens = 24): GenerationParameters {
  return { maxTokens, sampling: { temperature: 0, logitBias: neverEnd } };
}

/** `address`: `experts/live`, `chat/ID` */
export async function goTo(page: Page, address: string): Promise<void> {
  await page.evaluate((hash) => {
    window.location.hash = hash;
  }, `#/${address}`);
}

/** The embedded model is loaded, with one thread: several would wait for each other on a machine that is busy. */
export async function modelLoaded(core: CoreClient, options: LoadOptions = {}): Promise<void> {
  await core.call('models.load', { id: EMBEDDED, options: { threads: 1, ...options } });
}

/** For conversations that go on after an endless reply, which may be some thousand tokens long when it is stopped. */
export const longContext: LoadOptions = { contextLength: 8192, sequences: 1 };

/** Makes a chat with these parameters and shows it. */
export async function openChat(page: Page, core: CoreClient, parameters: GenerationParameters): Promise<Chat> {
  const { id } = await core.call('chats.create', { modelId: EMBEDDED });
  const chat = await core.call('chats.update', { id, parameters });
  await goTo(page, `chat/${id}`);
  await expect(composer(page)).toBeVisible();
  return chat;
}

export const composer = (page: Page): Locator => page.getByRole('textbox', { name: 'Message', exact: true });
export const replies = (page: Page): Locator => page.getByRole('article', { name: 'Reply' });
export const questions = (page: Page): Locator => page.getByRole('article', { name: 'You' });

export async function send(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

/** The text of a reply without the lines around it; empty before it has begun. */
export async function replyText(reply: Locator): Promise<string> {
  const texts = await reply.locator('[class*="markdown"]').allInnerTexts();
  return (texts[0] ?? '').trim();
}

/** Its letters and digits: what Markdown and line breaks leave alone. */
export const letters = (text: string): string => text.replace(/[^\p{L}\p{N}]/gu, '');

/** The reply has begun and is at least so many characters long. */
export async function streaming(reply: Locator, characters = 20): Promise<void> {
  await expect.poll(async () => (await replyText(reply)).length, { timeout: 20_000, intervals: [50] }).toBeGreaterThan(characters);
}

/** The last reply has come to its end. */
export async function answered(page: Page): Promise<void> {
  await expect(
    replies(page)
      .last()
      .getByText(/first token/),
  ).toBeVisible({ timeout: 30_000 });
}

/** Nothing runs any more: for after a stop. */
export async function stopped(page: Page): Promise<void> {
  await expect(page.getByRole('contentinfo').getByText('No reply is running')).toBeVisible({ timeout: 30_000 });
}

/** Violations on a page that keep somebody out. */
export async function violations(page: Page): Promise<string[]> {
  const { violations: found } = await new AxeBuilder({ page }).analyze();
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}
