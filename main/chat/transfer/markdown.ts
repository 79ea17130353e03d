// One branch as Markdown. A message begins with a heading that carries a comment no renderer shows:
//
//     ## User <!-- moebius:user -->
//
// Only such lines divide messages, so headings and code fences in a text (unclosed ones too) are just text and come back exactly.
// A text line that looks like one gets a backslash in front. Files without the comments are read by headings outside of code fences.
import type { Chat, Message } from '../../contract/index.ts';
import { newMessage } from '../message.ts';
import type { StoredChat } from '../records.ts';
import { titleOf } from '../title.ts';
import { importHeadings } from './headings.ts';
import { type Identity, importInvalid, type Section } from './imported.ts';

const headings = { system: 'System', user: 'User', assistant: 'Assistant' } as const;
const divider = /^## (?:System|User|Assistant) <!-- moebius:(system|user|assistant) -->\r?$/;
const escapedDivider = /^\\+## (?:System|User|Assistant) <!-- moebius:(?:system|user|assistant) -->\r?$/;

/** `messages`: the branch, root first. Reasoning, statistics and tool calls are left out. */
export function exportMarkdown(chat: Pick<Chat, 'title' | 'systemPrompt' | 'messages'>): string {
  const system: Section[] = chat.systemPrompt === '' ? [] : [{ role: 'system', text: chat.systemPrompt }];
  const sections = [...system, ...chat.messages].map(({ role, text }) => `## ${headings[role]} <!-- moebius:${role} -->\n\n${escapeDividers(text)}\n`);
  return [`# ${chat.title.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim()}\n`, ...sections].join('\n');
}

/** Throws import.invalid when there is no message in it. One chat, as a list to be like importJson. */
export function importMarkdown(content: string, identity: Identity): StoredChat[] {
  const text = content.replace(/^\uFEFF/, '');
  const own = importSections(text.split('\n'));
  const sections = own.length > 0 ? own : importHeadings(text);
  const turns = sections.filter((section) => section.role !== 'system');
  if (turns.length === 0) throw importInvalid('', 'there is no message in it; a message begins with a line "## User" or "## Assistant"');
  const systemPrompt = sections
    .filter((section) => section.role === 'system')
    .map((section) => section.text)
    .join('\n\n');
  return [build(titleIn(text, own.length > 0), systemPrompt, turns, identity)];
}

function importSections(lines: string[]): Section[] {
  // an editor changed every line end: change them back
  if (lines.find((line) => divider.test(line))?.endsWith('\r')) return importSections(lines.map((line) => line.replace(/\r$/, '')));
  const starts = lines.flatMap((line, index) => (divider.test(line) ? [index] : []));
  return starts.map((start, n) => ({ role: roleOf(lines[start]), text: textOf(lines.slice(start + 1, starts[n + 1])) }));
}

function roleOf(line: string | undefined): Section['role'] {
  const role = line?.match(divider)?.[1];
  return role === 'system' || role === 'user' ? role : 'assistant';
}

function escapeDividers(text: string): string {
  return text
    .split('\n')
    .map((line) => (divider.test(line) || escapedDivider.test(line) ? `\\${line}` : line))
    .join('\n');
}

/** `lines` of one section: the text between two blank lines. */
function textOf(lines: string[]): string {
  const begin = lines[0] === '' ? 1 : 0;
  const end = lines.length > begin && lines.at(-1) === '' ? -1 : undefined;
  return lines
    .slice(begin, end)
    .map((line) => (escapedDivider.test(line) ? line.slice(1) : line))
    .join('\n');
}

/** The heading of the first line; in files of other programs that may be a message's. */
function titleIn(text: string, own: boolean): string {
  const title = text.match(/^# (.*)/)?.[1]?.trim() ?? '';
  return !own && /^(system|user|assistant):?$/i.test(title) ? '' : title;
}

function build(title: string, systemPrompt: string, turns: Section[], { createId, now }: Identity): StoredChat {
  const chatId = createId();
  const time = now();
  const messages: Message[] = [];
  for (const { role, text } of turns) {
    const parentId = messages.at(-1)?.id ?? null;
    messages.push(newMessage({ id: createId(), chatId, parentId, role: role === 'user' ? 'user' : 'assistant', text, createdAt: time }));
  }
  const firstWords = titleOf(turns.find((turn) => turn.role === 'user')?.text ?? '');
  return {
    id: chatId,
    title: title === '' ? firstWords : title,
    titleByUser: title !== '',
    modelId: null,
    messageCount: messages.length,
    createdAt: time,
    updatedAt: time,
    systemPrompt,
    parameters: {},
    presetId: null,
    leafId: messages.at(-1)?.id ?? null,
    messages,
  };
}
