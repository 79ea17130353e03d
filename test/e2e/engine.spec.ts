import type { Page } from '@playwright/test';
import type { CoreClient } from '../support/core-client.ts';
import { answered, endless, letters, longContext, modelLoaded, openChat, repeatable, replies, replyText, send, streaming } from './app.ts';
import { expect, test } from './fixture.ts';

const KILLS = 20;
/** ms in which the UI must have told of it */
const TOLD_WITHIN = 1000;
const STOPPED = 'The engine stopped unexpectedly';

async function loaded(core: CoreClient): Promise<boolean> {
  return (await core.call('models.list', {}))[0]?.state.state === 'loaded';
}

/** Begins to watch; the answer gives the time, ms since 1970, at which the page showed one of these texts. */
async function watchFor(page: Page, texts: string[]): Promise<() => Promise<number>> {
  const watch = await page.evaluateHandle((wanted) => {
    const shown = () => [...document.querySelectorAll('[role="alert"]')].some((alert) => wanted.some((text) => alert.textContent?.includes(text)));
    const seen = new Promise<number>((resolve) => {
      const observer = new MutationObserver(() => {
        if (!shown()) return;
        observer.disconnect();
        resolve(Date.now());
      });
      observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    return { seen };
  }, texts);
  return () => watch.evaluate(({ seen }) => seen);
}

test(`an engine killed mid-reply ${KILLS} times is told within a second, costs no streamed text, and the next message works`, async ({ app, core }) => {
  test.setTimeout(240_000);
  await modelLoaded(core, longContext);
  const delays: number[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const { id } = await openChat(app, core, endless);
    await send(app, `What is a dwarf? ${kill}`);
    await streaming(replies(app));
    const streamed = letters(await replyText(replies(app)));
    const { engine } = await core.call('app.info', {});
    const told = await watchFor(app, [STOPPED, 'killed by SIGKILL']);
    const killed = Date.now();
    process.kill(engine.processId ?? Number.NaN, 'SIGKILL');
    delays.push((await told()) - killed);

    await expect(replies(app).getByRole('button', { name: 'Continue' }).first()).toBeVisible();
    expect(letters(await replyText(replies(app))).startsWith(streamed)).toBe(true);
    const stored = (await core.call('chats.get', { id })).messages.at(-1);
    expect(stored).toMatchObject({ state: 'interrupted', error: { code: 'engine.died' } });
    expect(letters(stored?.text ?? '').startsWith(streamed)).toBe(true);

    await expect.poll(() => loaded(core), { timeout: 20_000, intervals: [50] }).toBe(true);
    await expect(app.getByText(STOPPED)).toBeHidden();
    await core.call('chats.update', { id, parameters: repeatable(4) });
    await send(app, 'And now?');
    await expect(replies(app)).toHaveCount(2);
    await answered(app);
    expect((await core.call('chats.get', { id })).messages.at(-1)).toMatchObject({ role: 'assistant', state: 'complete' });
  }
  expect(delays).toHaveLength(KILLS);
  expect(Math.max(...delays)).toBeLessThanOrEqual(TOLD_WITHIN);
  expect((await core.call('app.info', {})).engine.restarts).toBe(KILLS);
});
