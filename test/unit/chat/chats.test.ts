import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answered, bench } from './service.ts';

describe('chats.create and chats.get', () => {
  it('makes an empty chat with defaults', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    expect(chat).toEqual({
      id: chat.id,
      title: 'New chat',
      modelId: null,
      messageCount: 0,
      createdAt: chat.createdAt,
      updatedAt: chat.updatedAt,
      systemPrompt: '',
      parameters: {},
      presetId: null,
      leafId: null,
      messages: [],
    });
    expect(await b.call['chats.get']({ id: chat.id })).toEqual(chat);
    expect(b.payloads('chats.changed')).toMatchObject([{ id: chat.id }]);
  });

  it('takes what it is given and refuses an unknown preset', async () => {
    const b = await bench();
    const values = { title: 'T', modelId: 'm', systemPrompt: 's', presetId: 'precise' };
    expect(await b.call['chats.create'](values)).toMatchObject(values);
    await expect(b.call['chats.create']({ presetId: 'x' })).rejects.toMatchObject({ code: 'preset.not-found' });
    await expect(b.call['chats.get']({ id: 'x' })).rejects.toMatchObject({ code: 'chat.not-found' });
  });
});

describe('chats.update', () => {
  it('changes only what is named', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({ title: 'T', modelId: 'm', presetId: 'precise' });
    expect(await b.call['chats.update']({ id: chat.id, parameters: { maxTokens: 5 } })).toEqual({ ...chat, parameters: { maxTokens: 5 } });
    expect(await b.call['chats.update']({ id: chat.id, modelId: null, presetId: null })).toMatchObject({
      title: 'T',
      modelId: null,
      presetId: null,
      parameters: { maxTokens: 5 },
    });
  });

  it('shows the branch through a message, down its newest children', async () => {
    const b = await bench();
    const { chatId, question, reply } = await answered(b, 'one', 'first answer');
    const second = await b.call['chat.edit']({ messageId: question.id, text: 'two' });
    await b.call['chat.stop']({ messageId: second.assistantMessage.id });
    expect((await b.call['chats.update']({ id: chatId, leafId: question.id })).leafId).toBe(reply.id);
    expect((await b.call['chats.update']({ id: chatId, leafId: second.userMessage?.id })).leafId).toBe(second.assistantMessage.id);
    await expect(b.call['chats.update']({ id: chatId, leafId: 'x' })).rejects.toMatchObject({ code: 'message.not-found' });
  });

  it('can be done while a reply streams, and does not disturb it', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    const generation = await b.generations.of(assistantMessage);
    generation.stream('so far');
    const updated = await b.call['chats.update']({ id: chat.id, title: 'Renamed' });
    expect(updated.messages[1]).toMatchObject({ text: 'so far', state: 'streaming' });
    generation.finish();
    await b.final(assistantMessage.id);
    expect(await b.call['chats.get']({ id: chat.id })).toMatchObject({ title: 'Renamed', messages: [{}, { text: 'so far', state: 'complete' }] });
  });
});

describe('titles', () => {
  it('follow the first message until the user sets one', async () => {
    const b = await bench();
    const { chatId, question, reply } = await answered(b, 'Why is the sky blue?');
    const title = async () => (await b.call['chats.get']({ id: chatId })).title;
    expect(await title()).toBe('Why is the sky blue?');
    const more = await b.call['chat.send']({ chatId, text: 'And green?', parentId: reply.id });
    await b.call['chat.stop']({ messageId: more.assistantMessage.id });
    expect(await title()).toBe('Why is the sky blue?');
    const edited = await b.call['chat.edit']({ messageId: question.id, text: 'Why is grass green?' });
    await b.call['chat.stop']({ messageId: edited.assistantMessage.id });
    expect(await title()).toBe('Why is grass green?');
    await b.call['chats.update']({ id: chatId, title: 'Colours' });
    await b.call['chat.edit']({ messageId: question.id, text: 'Why is snow white?' });
    expect(await title()).toBe('Colours');
  });

  it("are the user's from the start when given at creation", async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({ title: 'Mine' });
    await b.call['chat.send']({ chatId: chat.id, text: 'question' });
    expect((await b.call['chats.get']({ id: chat.id })).title).toBe('Mine');
  });
});

describe('chats.list', () => {
  it('has the most recently used first', async () => {
    const b = await bench();
    const first = await answered(b, 'first');
    const second = await answered(b, 'second');
    expect((await b.call['chats.list']({})).map((chat) => chat.id)).toEqual([second.chatId, first.chatId]);
    await b.call['chat.regenerate']({ messageId: first.reply.id });
    const list = await b.call['chats.list']({});
    expect(list.map((chat) => [chat.id, chat.messageCount, chat.snippet])).toEqual([
      [first.chatId, 3, null],
      [second.chatId, 2, null],
    ]);
  });
});

describe('search', () => {
  it('finds words and their beginnings in messages, marks them, and lists each chat once', async () => {
    const b = await bench();
    const { chatId } = await answered(b, 'What do routers do?', 'A router picks experts for every token; routing is learned.');
    await answered(b, 'Tell me of cats', 'They sleep.');
    const found = await b.call['chats.list']({ query: 'ROUT exp' });
    expect(found).toMatchObject([{ id: chatId, snippet: 'A \u0002router\u0003 picks \u0002experts\u0003 for every token; \u0002routing\u0003 is learned.' }]);
  });

  it('finds titles', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({ title: 'Über Bäume' });
    expect(await b.call['chats.list']({ query: 'busch' })).toEqual([]);
    expect(await b.call['chats.list']({ query: 'BAU' })).toMatchObject([{ id: chat.id, snippet: 'Über \u0002Bäume\u0003' }]);
    await b.call['chats.update']({ id: chat.id, title: 'Sträucher' });
    expect(await b.call['chats.list']({ query: 'bäu' })).toEqual([]);
  });

  it('forgets what was deleted', async () => {
    const b = await bench();
    const { chatId, reply } = await answered(b, 'question', 'zebra');
    await b.call['chat.deleteMessage']({ messageId: reply.id });
    expect(await b.call['chats.list']({ query: 'zebra' })).toEqual([]);
    await b.call['chats.delete']({ id: chatId });
    expect(await b.call['chats.list']({ query: 'question' })).toEqual([]);
  });

  it('lists everything for a blank query and nothing for one without words', async () => {
    const b = await bench();
    await answered(b);
    expect(await b.call['chats.list']({ query: '  ' })).toHaveLength(1);
    expect(await b.call['chats.list']({ query: '"*(' })).toEqual([]);
  });

  it('answers whatever is typed', async () => {
    const b = await bench();
    await answered(b, 'some words to find', 'and "some" (more)');
    const typed = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.constantFrom('"', '*', ' OR ', 'NEAR(', 'some', ')', '^', ':', '-'), { maxLength: 9 }).map((parts) => parts.join('')),
    );
    await fc.assert(
      fc.asyncProperty(typed, async (query) => {
        expect((await b.call['chats.list']({ query })).length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 150 },
    );
  }, 30_000);
});

describe('chats.delete', () => {
  it('stops the reply and removes everything', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    const generation = await b.generations.of(assistantMessage);
    await b.call['chats.delete']({ id: chat.id });
    expect(generation.cancelled).toBe(true);
    expect(b.payloads('chats.removed')).toEqual([{ id: chat.id }]);
    expect(await b.database.all('SELECT id FROM messages')).toEqual([]);
    await expect(b.call['chats.delete']({ id: chat.id })).rejects.toMatchObject({ code: 'chat.not-found' });
  });
});

describe('export and import', () => {
  it('brings a chat with its branches into another installation', async () => {
    const [here, there] = [await bench(), await bench()];
    const { chatId, question } = await answered(here, 'Why?', 'Because.');
    const edited = await here.call['chat.edit']({ messageId: question.id, text: 'Why not?' });
    await here.call['chat.stop']({ messageId: edited.assistantMessage.id });
    const { fileName, content } = await here.call['chats.export']({ id: chatId, format: 'json' });
    expect(fileName).toBe('Why not.json');
    const [summary] = await there.call['chats.import']({ format: 'json', content });
    const back = await there.call['chats.get']({ id: summary?.id ?? '' });
    expect(back.messages.map((message) => [message.text, message.state])).toEqual([
      ['Why?', 'complete'],
      ['Because.', 'complete'],
      ['Why not?', 'complete'],
      ['', 'stopped'],
    ]);
    expect(back.leafId).toBe(back.messages[3]?.id);
    expect(there.payloads('chats.changed')).toEqual([summary]);
    expect(await there.call['chats.list']({ query: 'because' })).toHaveLength(1);
  });

  it('exports the shown branch as Markdown', async () => {
    const b = await bench();
    const { chatId, question } = await answered(b, 'Why?', 'Because.');
    const edited = await b.call['chat.edit']({ messageId: question.id, text: 'Why not?' });
    await b.call['chat.stop']({ messageId: edited.assistantMessage.id });
    await b.call['chats.update']({ id: chatId, leafId: question.id, systemPrompt: 'Be brief.' });
    expect(await b.call['chats.export']({ id: chatId, format: 'markdown' })).toEqual({
      fileName: 'Why not.md',
      content:
        '# Why not?\n\n## System <!-- moebius:system -->\n\nBe brief.\n\n## User <!-- moebius:user -->\n\nWhy?\n\n## Assistant <!-- moebius:assistant -->\n\nBecause.\n',
    });
  });

  it('imports nothing of a file whose second chat is bad', async () => {
    const b = await bench();
    const { chatId } = await answered(b);
    const content = JSON.parse((await b.call['chats.export']({ id: chatId, format: 'json' })).content);
    content.chats.push({ ...content.chats[0], messages: [{ ...content.chats[0].messages[0], parentId: 'nobody' }] });
    await expect(b.call['chats.import']({ format: 'json', content: JSON.stringify(content) })).rejects.toMatchObject({
      code: 'import.invalid',
      details: { path: 'chats.1.messages.0.parentId' },
    });
    expect(await b.call['chats.list']({})).toHaveLength(1);
  });
});
