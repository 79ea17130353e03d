import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredChat } from '../../../main/chat/records.ts';
import { exportJson, importJson } from '../../../main/chat/transfer/json.ts';
import { exportMarkdown, importMarkdown } from '../../../main/chat/transfer/markdown.ts';
import { message } from './doubles.ts';

function identity() {
  let last = 0;
  return { createId: () => `new${++last}`, now: () => 1000, presetIds: new Set(['precise']) };
}

const chat: StoredChat = {
  id: 'c',
  title: 'Trees',
  titleByUser: true,
  modelId: 'tiny-moe',
  messageCount: 3,
  createdAt: 1,
  updatedAt: 2,
  systemPrompt: 'Be brief.',
  parameters: { sampling: { temperature: 0 }, maxTokens: 9 },
  presetId: 'precise',
  leafId: 'b',
  messages: [
    message({ id: 'q', text: 'question' }),
    message({
      id: 'a',
      parentId: 'q',
      role: 'assistant',
      text: 'one',
      reasoning: 'hm',
      state: 'stopped',
      finishReason: 'cancelled',
      hasRoutes: true,
      modelId: 'tiny-moe',
    }),
    message({
      id: 'b',
      parentId: 'q',
      role: 'assistant',
      text: 'two',
      state: 'interrupted',
      error: { code: 'engine.died', message: 'gone', details: { exitCode: 9 } },
    }),
  ],
};
const file = () => JSON.parse(exportJson([chat]));

describe('JSON', () => {
  it('brings back all branches under new ids', () => {
    const [back] = importJson(exportJson([chat]), identity());
    expect(back).toEqual({
      ...chat,
      id: 'new1',
      leafId: 'new4',
      messages: [
        { ...chat.messages[0], id: 'new2', chatId: 'new1' },
        { ...chat.messages[1], id: 'new3', chatId: 'new1', parentId: 'new2', hasRoutes: false },
        { ...chat.messages[2], id: 'new4', chatId: 'new1', parentId: 'new2' },
      ],
    });
  });

  it('drops a preset that is not known here, and interrupts what was streaming', () => {
    const content = file();
    content.chats[0].presetId = 'theirs';
    content.chats[0].messages[2].state = 'streaming';
    const [back] = importJson(JSON.stringify(content), identity());
    expect(back?.presetId).toBeNull();
    expect(back?.messages[2]?.state).toBe('interrupted');
  });

  it.each<[string, (content: ReturnType<typeof file>) => unknown, string, string]>([
    ['no JSON', () => '{"chats": [', '', 'it is not JSON'],
    ['another format', () => [], '', 'expected object'],
    ['another version', (content) => Object.assign(content, { version: 2 }), 'version', 'expected 1'],
    ['no chats', (content) => Object.assign(content, { chats: [] }), 'chats', 'Too small'],
    ['an unknown role', (content) => Object.assign(content.chats[0].messages[1], { role: 'robot' }) && content, 'chats.0.messages.1.role', 'expected one of'],
    ['a missing text', (content) => delete content.chats[0].messages[0].text && content, 'chats.0.messages.0.text', 'expected string'],
    ['an id used twice', (content) => Object.assign(content.chats[0].messages[1], { id: 'q' }) && content, 'chats.0.messages.1.id', '"q" is used twice'],
    [
      'a parent that comes later',
      (content) => Object.assign(content.chats[0].messages[0], { parentId: 'b' }) && content,
      'chats.0.messages.0.parentId',
      'no message "b" before',
    ],
    [
      'a message that is its own parent',
      (content) => Object.assign(content.chats[0].messages[0], { parentId: 'q' }) && content,
      'chats.0.messages.0.parentId',
      'no message "q" before',
    ],
    ['a leaf that is not there', (content) => Object.assign(content.chats[0], { leafId: 'x' }) && content, 'chats.0.leafId', 'no message "x"'],
    [
      'a setting out of range',
      (content) => Object.assign(content.chats[0].parameters, { maxTokens: 0 }) && content,
      'chats.0.parameters.maxTokens',
      'Too small',
    ],
    ['a time with a fraction', (content) => Object.assign(content.chats[0], { createdAt: 1.5 }) && content, 'chats.0.createdAt', 'expected int'],
    ['nesting without end', () => `{"format":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, '', 'more than 500 levels'],
  ])('refuses %s, saying where and why', (_, change, path, reason) => {
    const changed = change(file());
    const content = typeof changed === 'string' ? changed : JSON.stringify(changed);
    expect(() => importJson(content, identity())).toThrow(
      expect.objectContaining({
        code: 'import.invalid',
        message: expect.stringContaining('Nothing was imported'),
        details: { path, reason: expect.stringContaining(reason) },
      }),
    );
  });

  it('throws nothing but import.invalid for anything', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.anything().map((value) => `{"format":"moebius-chats","version":1,"chats":${fc.stringify(value)}}`),
        ),
        (content) => {
          expect(() => importJson(content, identity())).toThrow(expect.objectContaining({ code: 'import.invalid' }));
        },
      ),
    );
  });
});

describe('Markdown', () => {
  const line = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(
      '',
      ' ',
      '```',
      '```ts',
      '~~~~',
      '# Title',
      '## User',
      '## User <!-- moebius:user -->',
      '\\## Assistant <!-- moebius:assistant -->',
      '## System <!-- moebius:system -->\r',
      '\\\\## User <!-- moebius:user -->',
      '\r',
    ),
  );
  const text = fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\n'));
  const turns = fc.array(fc.record({ role: fc.constantFrom('user' as const, 'assistant' as const), text }), { minLength: 1, maxLength: 6 });

  it('brings back every role and text exactly: open fences, headings, its own markers, blank lines', () => {
    fc.assert(
      fc.property(turns, text, (messages, systemPrompt) => {
        const [back] = importMarkdown(exportMarkdown({ title: 'A title', systemPrompt, messages: messages.map(message) }), identity());
        expect(back?.messages.map(({ role, text }) => ({ role, text }))).toEqual(messages);
        expect(back?.systemPrompt).toBe(systemPrompt);
        expect(back?.title).toBe('A title');
      }),
      { numRuns: 500 },
    );
  });

  it('makes one branch of them', () => {
    const [back] = importMarkdown(exportMarkdown(chat), identity());
    expect(back?.messages.map(({ id, parentId }) => [id, parentId])).toEqual([
      ['new2', null],
      ['new3', 'new2'],
      ['new4', 'new3'],
    ]);
    expect(back?.leafId).toBe('new4');
  });

  it('leaves code as it is', () => {
    const code = '```md\n## User\n\n\tindented\n```';
    expect(exportMarkdown({ title: 't', systemPrompt: '', messages: [message({ text: code })] })).toBe(`# t\n\n## User <!-- moebius:user -->\n\n${code}\n`);
  });

  it('survives an editor that changes the line ends', () => {
    const content = exportMarkdown({ title: 't', systemPrompt: '', messages: [message({ text: 'a\nb' })] }).replaceAll('\n', '\r\n');
    expect(importMarkdown(content, identity())[0]?.messages[0]?.text).toBe('a\nb');
  });

  it('reads plain headings of other programs, but not those in code', () => {
    const content = '### System\nBe kind.\n\n### User:\nLook:\n```md\n## Assistant\n```\n\n### **Assistant**\nI see.\n~~~\n``` ## User\n';
    const [back] = importMarkdown(content, identity());
    expect(back?.systemPrompt).toBe('Be kind.');
    expect(back?.title).toBe('Look: ```md ## Assistant ```');
    expect(back?.messages.map(({ role, text }) => [role, text])).toEqual([
      ['user', 'Look:\n```md\n## Assistant\n```'],
      ['assistant', 'I see.\n~~~\n``` ## User'],
    ]);
  });

  it('refuses a text without messages', () => {
    expect(() => importMarkdown('# Title\n\nhello', identity())).toThrow(expect.objectContaining({ code: 'import.invalid' }));
  });
});
