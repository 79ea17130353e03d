import { describe, expect, it } from 'vitest';
import { answered, asked, bench } from './service.ts';

describe('chat.send', () => {
  it('stores question and empty reply before it answers', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const sent = await b.call['chat.send']({ chatId: chat.id, text: 'Why?' });
    expect(await b.database.all('SELECT role, text, state, parent_id IS NULL AS root FROM messages ORDER BY row')).toEqual([
      { role: 'user', text: 'Why?', state: 'complete', root: 1 },
      { role: 'assistant', text: '', state: 'streaming', root: 0 },
    ]);
    expect(sent.userMessage).toMatchObject({ role: 'user', text: 'Why?', state: 'complete' });
    expect(sent.assistantMessage).toMatchObject({ role: 'assistant', parentId: sent.userMessage?.id, state: 'streaming', modelId: 'tiny-moe' });
  });

  it('streams the reply and ends with its statistics', async () => {
    const b = await bench();
    const { reply } = await answered(b, 'Why?', 'Because.');
    expect(reply).toMatchObject({ text: 'Because.', state: 'complete', finishReason: 'stop', error: null });
    expect(reply.stats).toEqual({
      promptTokens: 30,
      cachedTokens: 10,
      tokens: 1,
      tokensPerSecond: 2,
      promptTokensPerSecond: 200,
      timeToFirstTokenMs: 101,
      seed: 42,
    });
  });

  it('stores the final reply before it publishes it', async () => {
    const b = await bench();
    const { chatId, reply } = await answered(b);
    expect((await b.call['chats.get']({ id: chatId })).messages[1]).toEqual(reply);
  });

  it('asks for the branch under the chat as key, with its message', async () => {
    const b = await bench({ recordRoutes: () => true });
    const { chatId } = await answered(b);
    const sent = await b.call['chat.send']({ chatId, text: 'And?' });
    const generation = await b.generations.get(2);
    expect(asked(generation)).toEqual([
      ['user', 'question'],
      ['assistant', 'answer'],
      ['user', 'And?'],
    ]);
    expect(generation.request).toMatchObject({ cacheKey: chatId, chatId, messageId: sent.assistantMessage.id, modelId: 'tiny-moe', routes: true });
  });

  it('takes content, reasoning and tool calls as the template parses them', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    const generation = await b.generations.get(1);
    generation.stream('<think>', 'hm', '</think>', 'yes');
    const toolCalls = [{ id: '1', name: 'f', arguments: '{}' }];
    generation.finish({ message: { content: 'yes', reasoningContent: 'hm', toolCalls } });
    expect(await b.final(assistantMessage.id)).toMatchObject({ text: 'yes', reasoning: 'hm', toolCalls });
  });

  it('branches where parentId says, and begins a new root for null', async () => {
    const b = await bench();
    const { chatId, question, reply } = await answered(b);
    const branch = await b.call['chat.send']({ chatId, text: 'other', parentId: reply.id });
    await b.call['chat.stop']({ messageId: branch.assistantMessage.id });
    const root = await b.call['chat.send']({ chatId, text: 'new start', parentId: null });
    expect(branch.userMessage?.parentId).toBe(reply.id);
    expect(root.userMessage?.parentId).toBeNull();
    expect(asked(await b.generations.get(3))).toEqual([['user', 'new start']]);
    expect((await b.call['chats.get']({ id: chatId })).leafId).toBe(root.assistantMessage.id);
    expect(question.parentId).toBeNull();
  });

  it('refuses a second message while a reply is written, also when both come at once', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const both = await Promise.allSettled(['one', 'two'].map((text) => b.call['chat.send']({ chatId: chat.id, text })));
    expect(both.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
    await expect(b.call['chat.send']({ chatId: chat.id, text: 'three' })).rejects.toMatchObject({ code: 'chat.busy' });
    expect((await b.call['chats.get']({ id: chat.id })).messages).toHaveLength(2);
  });

  it('lets two chats talk at once', async () => {
    const b = await bench();
    const [one, two] = [await b.call['chats.create']({}), await b.call['chats.create']({})];
    const first = await b.call['chat.send']({ chatId: one.id, text: '1' });
    const second = await b.call['chat.send']({ chatId: two.id, text: '2' });
    const [g1, g2] = [await b.generations.get(1), await b.generations.get(2)];
    g1.stream('a');
    g2.stream('b');
    g1.stream('a');
    g2.finish();
    g1.finish();
    expect((await b.final(first.assistantMessage.id)).text).toBe('aa');
    expect((await b.final(second.assistantMessage.id)).text).toBe('b');
  });

  it('refuses unknown chats and parents, and stores nothing then', async () => {
    const b = await bench();
    await expect(b.call['chat.send']({ chatId: 'x', text: 'q' })).rejects.toMatchObject({ code: 'chat.not-found' });
    const chat = await b.call['chats.create']({});
    await expect(b.call['chat.send']({ chatId: chat.id, text: 'q', parentId: 'x' })).rejects.toMatchObject({ code: 'message.not-found' });
    expect(await b.database.all('SELECT * FROM messages')).toEqual([]);
  });

  it('says so when no model is loaded, before anything is stored', async () => {
    const b = await bench();
    b.models.loaded = [];
    const chat = await b.call['chats.create']({});
    await expect(b.call['chat.send']({ chatId: chat.id, text: 'q' })).rejects.toMatchObject({ code: 'model.not-loaded' });
    expect(await b.database.all('SELECT * FROM messages')).toEqual([]);
  });

  it("uses the chat's model rather than the one loaded last", async () => {
    const b = await bench();
    b.models.loaded = ['newest', 'older'];
    const chat = await b.call['chats.create']({ modelId: 'older' });
    const sent = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    expect(sent.assistantMessage.modelId).toBe('older');
    expect((await b.generations.get(1)).request.modelId).toBe('older');
  });
});

describe('what the model is told', () => {
  it("is the chat's, else its preset's, else the model's system prompt; parameters of the chat over those of the preset", async () => {
    const b = await bench();
    b.models.defaults = { systemPrompt: 'model prompt' };
    const preset = await b.call['presets.save']({ name: 'p', systemPrompt: 'preset prompt', parameters: { sampling: { topK: 9, temperature: 1 } } });
    const chat = await b.call['chats.create']({});
    const ask = async () => {
      const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q', parentId: null });
      const generation = await b.generations.of(assistantMessage);
      await b.call['chat.stop']({ messageId: assistantMessage.id });
      return { prompt: asked(generation)[0], sampling: generation.request.sampling, maxTokens: generation.request.maxTokens };
    };
    expect(await ask()).toEqual({ prompt: ['system', 'model prompt'] });
    await b.call['chats.update']({ id: chat.id, presetId: preset.id });
    expect(await ask()).toEqual({ prompt: ['system', 'preset prompt'], sampling: { temperature: 1, topK: 9 } });
    await b.call['chats.update']({ id: chat.id, systemPrompt: 'chat prompt', parameters: { sampling: { temperature: 0 }, maxTokens: 7 } });
    expect(await ask()).toEqual({ prompt: ['system', 'chat prompt'], sampling: { temperature: 0, topK: 9 }, maxTokens: 7 });
  });
});

describe('chat.edit', () => {
  it('makes a sibling of the question, with its own reply', async () => {
    const b = await bench();
    const { chatId, question } = await answered(b);
    const edited = await b.call['chat.edit']({ messageId: question.id, text: 'better question' });
    expect(edited.userMessage).toMatchObject({ parentId: null, text: 'better question' });
    expect(asked(await b.generations.get(2))).toEqual([['user', 'better question']]);
    const chat = await b.call['chats.get']({ id: chatId });
    expect(chat.messages.map((message) => message.text)).toEqual(['question', 'answer', 'better question', '']);
    expect(chat.leafId).toBe(edited.assistantMessage.id);
  });

  it('refuses a reply', async () => {
    const b = await bench();
    const { reply } = await answered(b);
    await expect(b.call['chat.edit']({ messageId: reply.id, text: 'x' })).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(b.call['chat.edit']({ messageId: 'x', text: 'x' })).rejects.toMatchObject({ code: 'message.not-found' });
  });
});

describe('chat.regenerate', () => {
  it('makes a sibling of the reply', async () => {
    const b = await bench();
    const { chatId, question, reply } = await answered(b);
    const again = await b.call['chat.regenerate']({ messageId: reply.id });
    expect(again).toMatchObject({ userMessage: null, assistantMessage: { parentId: question.id, text: '', state: 'streaming' } });
    expect(asked(await b.generations.get(2))).toEqual([['user', 'question']]);
    expect((await b.call['chats.get']({ id: chatId })).leafId).toBe(again.assistantMessage.id);
  });

  it('answers a user message that has no reply', async () => {
    const b = await bench();
    const [imported] = await b.call['chats.import']({ format: 'markdown', content: '## User\n\nanyone?\n' });
    const chat = await b.call['chats.get']({ id: imported?.id ?? '' });
    const sent = await b.call['chat.regenerate']({ messageId: chat.leafId ?? '' });
    expect(sent.assistantMessage.parentId).toBe(chat.leafId);
  });

  it('refuses a reply to nothing', async () => {
    const b = await bench();
    const [imported] = await b.call['chats.import']({ format: 'markdown', content: '## Assistant\n\nhello\n' });
    const chat = await b.call['chats.get']({ id: imported?.id ?? '' });
    await expect(b.call['chat.regenerate']({ messageId: chat.leafId ?? '' })).rejects.toMatchObject({ code: 'request.invalid' });
  });
});

describe('chat.continue', () => {
  it('goes on writing the same message', async () => {
    const b = await bench();
    const { chatId, reply } = await answered(b, 'Count.', 'one, ');
    const sent = await b.call['chat.continue']({ messageId: reply.id });
    expect(sent).toMatchObject({ userMessage: null, assistantMessage: { id: reply.id, text: 'one, ', state: 'streaming' } });
    const generation = await b.generations.get(2);
    expect(generation.request.input).toMatchObject({ chat: { continueFinalMessage: true } });
    expect(asked(generation)).toEqual([
      ['user', 'Count.'],
      ['assistant', 'one, '],
    ]);
    generation.stream('two');
    generation.finish({ message: { content: 'two', reasoningContent: '', toolCalls: [] } });
    await expect.poll(() => b.payloads('chat.message').at(-1)).toMatchObject({ id: reply.id, text: 'one, two', state: 'complete' });
    const { messages } = await b.call['chats.get']({ id: chatId });
    expect(messages.map((message) => message.text)).toEqual(['Count.', 'one, two']);
    expect(b.payloads('chat.delta').at(-1)).toMatchObject({ messageId: reply.id, offset: 5, text: 'two' });
  });

  it('keeps the text so far when it fails, and counts the tokens of both runs', async () => {
    const b = await bench();
    const { reply } = await answered(b, 'Count.', 'one, ');
    const state = async () => (await b.call['chats.get']({ id: reply.chatId })).messages[1];
    await b.call['chat.continue']({ messageId: reply.id });
    (await b.generations.get(2)).fail(new Error('boom'));
    await expect.poll(state).toMatchObject({ text: 'one, ', state: 'interrupted', error: { code: 'internal' } });
    await b.call['chat.continue']({ messageId: reply.id });
    const generation = await b.generations.get(3);
    generation.stream('two');
    generation.finish();
    await expect.poll(state).toMatchObject({ text: 'one, two', state: 'complete', error: null, stats: { tokens: 2 } });
  });

  it('begins anew where there is no text', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const { assistantMessage } = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    await b.call['chat.stop']({ messageId: assistantMessage.id });
    await b.call['chat.continue']({ messageId: assistantMessage.id });
    const generation = await b.generations.get(2);
    expect(asked(generation)).toEqual([['user', 'q']]);
    expect(generation.request.input).not.toHaveProperty('chat.continueFinalMessage');
  });

  it('refuses questions and replies that were answered', async () => {
    const b = await bench();
    const { chatId, question, reply } = await answered(b);
    await expect(b.call['chat.continue']({ messageId: question.id })).rejects.toMatchObject({ code: 'request.invalid' });
    const next = await b.call['chat.send']({ chatId, text: 'next' });
    await b.call['chat.stop']({ messageId: next.assistantMessage.id });
    await expect(b.call['chat.continue']({ messageId: reply.id })).rejects.toMatchObject({ code: 'request.invalid' });
  });
});

describe('chat.deleteMessage', () => {
  it('takes everything below along and shows the branch that is left', async () => {
    const b = await bench();
    const { chatId, question, reply } = await answered(b);
    const again = await b.call['chat.regenerate']({ messageId: reply.id });
    await b.call['chat.stop']({ messageId: again.assistantMessage.id });
    const afterSibling = await b.call['chat.deleteMessage']({ messageId: again.assistantMessage.id });
    expect(afterSibling).toMatchObject({ leafId: reply.id, messageCount: 2 });
    const afterRoot = await b.call['chat.deleteMessage']({ messageId: question.id });
    expect(afterRoot).toMatchObject({ id: chatId, leafId: null, messages: [], messageCount: 0 });
    expect(b.payloads('chats.changed').at(-1)).toMatchObject({ id: chatId, messageCount: 0 });
  });

  it('stops a reply that is among it, and the chat is free again', async () => {
    const b = await bench();
    const chat = await b.call['chats.create']({});
    const sent = await b.call['chat.send']({ chatId: chat.id, text: 'q' });
    await b.call['chat.deleteMessage']({ messageId: sent.userMessage?.id ?? '' });
    expect((await b.generations.get(1)).cancelled).toBe(true);
    await b.call['chat.send']({ chatId: chat.id, text: 'again' });
    expect((await b.call['chats.get']({ id: chat.id })).messages).toHaveLength(2);
  });

  it('leaves a reply alone that is written elsewhere in the tree', async () => {
    const b = await bench();
    const { reply } = await answered(b);
    const again = await b.call['chat.regenerate']({ messageId: reply.id });
    const chat = await b.call['chat.deleteMessage']({ messageId: reply.id });
    expect(chat.messages.at(-1)).toMatchObject({ id: again.assistantMessage.id, state: 'streaming' });
    expect((await b.generations.get(2)).cancelled).toBe(false);
  });

  it('deletes a conversation of 2500 messages from its root', async () => {
    const b = await bench();
    const content = Array.from({ length: 2500 }, (_, n) => `## ${n % 2 === 0 ? 'User' : 'Assistant'}\n\ntext ${n}\n`).join('\n');
    const [summary] = await b.call['chats.import']({ format: 'markdown', content });
    const chat = await b.call['chats.get']({ id: summary?.id ?? '' });
    expect(chat.messages).toHaveLength(2500);
    const left = await b.call['chat.deleteMessage']({ messageId: chat.messages[0]?.id ?? '' });
    expect(left.messages).toEqual([]);
  });
});
