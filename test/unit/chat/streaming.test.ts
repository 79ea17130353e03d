import { describe, expect, it } from 'vitest';
import { MoebiusError } from '../../../main/contract/index.ts';
import type { Database } from '../../../main/storage/database.ts';
import { openDatabase } from '../../../main/storage/open.ts';
import { scratchDatabasePath } from '../storage/scratch.ts';
import { type Bench, bench } from './service.ts';

async function asking(b: Bench) {
  const chat = await b.call['chats.create']({});
  const sent = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
  return { chatId: chat.id, reply: sent.assistantMessage, generation: await b.generations.of(sent.assistantMessage) };
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const storedText = async (b: Bench, id: string) => (await b.database.get<{ text: string }>('SELECT text FROM messages WHERE id = ?', [id]))?.text;

describe('events of a reply', () => {
  it('come in order: both messages, the summary, deltas, the final message, the summary', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    const begin = b.published.findIndex((one) => one.event === 'chat.message');
    generation.progress(0.5);
    generation.stream('Hello');
    generation.finish();
    await expect
      .poll(() => b.published.slice(begin).map((one) => one.event))
      .toEqual(['chat.message', 'chat.message', 'chats.changed', 'chat.progress', 'chat.delta', 'chat.message', 'chats.changed']);
    expect(b.payloads('chat.progress')).toEqual([{ chatId: reply.chatId, messageId: reply.id, fraction: 0.5 }]);
    expect(b.payloads('chats.changed').at(-1)).toMatchObject({ id: reply.chatId, messageCount: 2, title: 'q' });
  });

  it('sends the first text at once and then at most 60 deltas a second, without gaps', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream('first');
    expect(b.payloads('chat.delta')).toMatchObject([{ offset: 0, text: 'first', tokens: 1 }]);
    const begin = performance.now();
    let expected = 'first';
    while (performance.now() - begin < 500) {
      generation.stream(' w😀rd');
      expected += ' w😀rd';
      await sleep(1);
    }
    const seconds = (performance.now() - begin) / 1000;
    await sleep(40);
    const deltas = b.payloads('chat.delta');
    expect(deltas.length).toBeGreaterThan(5);
    expect(deltas.length).toBeLessThanOrEqual(60 * seconds + 3);
    let length = 0;
    for (const delta of deltas) {
      expect(delta.offset).toBe(length);
      length += delta.text.length;
    }
    expect(deltas.map((delta) => delta.text).join('')).toBe(expected);
    expect(deltas.at(-1)?.tokensPerSecond).toBeGreaterThan(1);
    generation.finish();
    expect((await b.final(reply.id)).text).toBe(expected);
  });

  it('shows in chats.get exactly what the deltas have told so far', async () => {
    const b = await bench();
    const { chatId, generation } = await asking(b);
    generation.stream('one');
    generation.stream(' two');
    const shown = (await b.call['chats.get']({ id: chatId })).messages[1];
    const told = b
      .payloads('chat.delta')
      .map((delta) => delta.text)
      .join('');
    expect(told.startsWith(shown?.text ?? '-')).toBe(true);
    expect(shown).toMatchObject({ state: 'streaming' });
    await sleep(40);
    expect((await b.call['chats.get']({ id: chatId })).messages[1]?.text).toBe('one two');
  });
});

describe('streamed text', () => {
  it('is in the database within 500 ms', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream('start');
    await sleep(20);
    generation.stream(' and more');
    await sleep(560);
    expect(await storedText(b, reply.id)).toBe('start and more');
  });

  it('is not written more often than every 500 ms', async () => {
    let writes = 0;
    const b = await bench({ database: counting(await openDatabase(scratchDatabasePath()), () => writes++) });
    const { generation } = await asking(b);
    const begin = performance.now();
    while (performance.now() - begin < 700) {
      generation.stream('x');
      await sleep(5);
    }
    expect(writes).toBeGreaterThanOrEqual(2);
    expect(writes).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - begin) / 500));
  });
});

function counting(database: Database, count: () => void): Database {
  return {
    all: (...call) => database.all(...call),
    get: (...call) => database.get(...call),
    run: (sql, parameters) => {
      if (sql.startsWith('UPDATE messages SET text')) count();
      return database.run(sql, parameters);
    },
    transaction: (statements) => database.transaction(statements),
    close: () => database.close(),
  };
}

describe('chat.stop', () => {
  it('keeps what there is and answers with the final message', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream('half a');
    const stopped = await b.call['chat.stop']({ messageId: reply.id });
    expect(generation.cancelled).toBe(true);
    expect(stopped).toMatchObject({ id: reply.id, text: 'half a', state: 'stopped', finishReason: 'cancelled', stats: { tokens: 1 } });
    expect(await storedText(b, reply.id)).toBe('half a');
    await b.call['chat.send']({ chatId: reply.chatId, text: 'next' });
  });

  it('works while the model is still loading', async () => {
    const b = await bench();
    b.models.loading = new Promise(() => {});
    const chat = await b.call['chats.create']({});
    const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    expect(await b.call['chat.stop']({ messageId: assistantMessage.id })).toMatchObject({ text: '', state: 'stopped', error: null });
    expect(b.generations.all).toEqual([]);
  });

  it('gives back a message that is not being written as it is', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream('all');
    generation.finish();
    const final = await b.final(reply.id);
    expect(await b.call['chat.stop']({ messageId: reply.id })).toEqual(final);
    await expect(b.call['chat.stop']({ messageId: 'x' })).rejects.toMatchObject({ code: 'message.not-found' });
  });
});

describe('a reply that breaks', () => {
  it('is interrupted with its whole prefix when the engine dies', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream(...'a long prefix that had streamed'.split(/(?= )/));
    generation.fail(new MoebiusError('engine.died', 'The engine ended (signal SIGKILL).', { details: { signal: 'SIGKILL' } }));
    const error = { code: 'engine.died', message: 'The engine ended (signal SIGKILL).', details: { signal: 'SIGKILL' } };
    expect(await b.final(reply.id)).toMatchObject({ text: 'a long prefix that had streamed', state: 'interrupted', error, stats: null });
    expect((await b.call['chats.get']({ id: reply.chatId })).messages[1]).toMatchObject({
      text: 'a long prefix that had streamed',
      state: 'interrupted',
      error,
    });
  });

  it('is interrupted, not failed, when the engine dies before the first word', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.fail(new MoebiusError('engine.died', 'gone'));
    expect(await b.final(reply.id)).toMatchObject({ text: '', state: 'interrupted' });
  });

  it('has failed when nothing could be generated, and the chat goes on', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.fail(new MoebiusError('prompt.too-long', 'The prompt has 900 tokens; the context has 512.'));
    expect(await b.final(reply.id)).toMatchObject({ text: '', state: 'failed', error: { code: 'prompt.too-long' } });
    const next = await b.call['chat.send']({ chatId: reply.chatId, text: 'next' });
    const second = await b.generations.of(next.assistantMessage);
    second.stream('yes');
    second.finish();
    expect((await b.final(next.assistantMessage.id)).text).toBe('yes');
  });

  it('has failed when its model cannot be loaded', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({ modelId: 'gone' });
    const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    expect(await b.final(assistantMessage.id)).toMatchObject({ state: 'failed', error: { code: 'model.not-found' } });
  });

  it('ignores tokens that come after its end', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream('text');
    generation.finish();
    await b.final(reply.id);
    generation.stream(' late');
    await sleep(40);
    expect(b.payloads('chat.delta')).toHaveLength(1);
    expect(await storedText(b, reply.id)).toBe('text');
  });
});

describe('a full disk', () => {
  it('shows the reply with the error, frees the chat, and keeps showing it', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    const { page_count: pages } = (await b.database.get<{ page_count: number }>('PRAGMA page_count')) ?? { page_count: 0 };
    await b.database.get(`PRAGMA max_page_count = ${pages}`);
    const text = 'long '.repeat(100_000);
    generation.stream(text);
    generation.finish();
    expect(await b.final(reply.id)).toMatchObject({ text, state: 'interrupted', error: { code: 'disk.full' } });
    expect((await b.call['chats.get']({ id: reply.chatId })).messages[1]).toMatchObject({ text, error: { code: 'disk.full' } });
    await b.database.get('PRAGMA max_page_count = 1000000');
    await b.call['chat.regenerate']({ messageId: reply.id });
  });
});

describe('routes', () => {
  it.each([
    [true, 'text', true],
    [true, '', false],
    [false, 'text', false],
  ])('setting %s and text %j: hasRoutes is %s', async (setting, text, hasRoutes) => {
    const b = await bench({ recordRoutes: () => setting });
    const { reply, generation } = await asking(b);
    expect(generation.request.routes).toBe(setting);
    if (text !== '') generation.stream(text);
    generation.finish();
    expect((await b.final(reply.id)).hasRoutes).toBe(hasRoutes);
  });
});

describe('start and dispose', () => {
  it('interrupts what was streaming when the app was killed', async () => {
    const b = await bench();
    const { reply } = await asking(b);
    await b.database.run("UPDATE messages SET text = 'prefix' WHERE id = ?", [reply.id]);
    await b.service.start();
    expect(await b.database.get('SELECT text, state, error FROM messages WHERE id = ?', [reply.id])).toMatchObject({
      text: 'prefix',
      state: 'interrupted',
      error: expect.stringContaining('engine.died'),
    });
  });

  it('stores running replies as stopped on dispose', async () => {
    const b = await bench();
    const { reply, generation } = await asking(b);
    generation.stream('so far');
    await b.service.dispose();
    expect(await b.database.get('SELECT text, state FROM messages WHERE id = ?', [reply.id])).toEqual({ text: 'so far', state: 'stopped' });
  });
});
