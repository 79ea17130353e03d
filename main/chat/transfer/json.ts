// Our own format: chats with all branches. Ids are the file's own; importing gives new ones, so a file can be imported twice.
import { z } from 'zod';
import { type Chat, GenerationParameters, Message } from '../../contract/index.ts';
import type { StoredChat } from '../records.ts';
import { newestLeafUnder } from '../tree.ts';
import { type Identity, importInvalid } from './imported.ts';

const FORMAT = 'moebius-chats';
const VERSION = 1;
/** SQLite takes JSON of up to 1000 levels */
const DEEPEST = 500;

const Time = z.number().int();
const ExportedMessage = Message.omit({ chatId: true, hasRoutes: true }).extend({ createdAt: Time });
type ExportedMessage = z.infer<typeof ExportedMessage>;

const ExportedChat = z.object({
  title: z.string(),
  modelId: z.string().nullable(),
  systemPrompt: z.string(),
  parameters: GenerationParameters,
  presetId: z.string().nullable(),
  leafId: z.string().nullable(),
  createdAt: Time,
  updatedAt: Time,
  /** parents before their children */
  messages: z.array(ExportedMessage),
});
type ExportedChat = z.infer<typeof ExportedChat>;

const ExportFile = z.object({ format: z.literal(FORMAT), version: z.literal(VERSION), chats: z.array(ExportedChat).min(1) });

export function exportJson(chats: readonly Chat[]): string {
  const exported = chats.map(({ title, modelId, systemPrompt, parameters, presetId, leafId, createdAt, updatedAt, messages }) => {
    const kept = messages.map(({ chatId: _, hasRoutes: __, ...message }) => message);
    return { title, modelId, systemPrompt, parameters, presetId, leafId, createdAt, updatedAt, messages: kept };
  });
  return `${JSON.stringify({ format: FORMAT, version: VERSION, chats: exported } satisfies z.input<typeof ExportFile>, null, 2)}\n`;
}

/** Throws import.invalid with the path and the reason of the first problem. */
export function importJson(content: string, identity: Identity): StoredChat[] {
  const parsed = ExportFile.safeParse(parse(content));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw importInvalid(issue?.path.join('.') ?? '', issue?.message ?? 'not an export of Moebius');
  }
  return parsed.data.chats.map((chat, index) => adopt(chat, `chats.${index}`, identity));
}

function parse(content: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(content.replace(/^\uFEFF/, ''));
  } catch (error) {
    throw importInvalid('', `it is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (isDeeper(value, DEEPEST)) throw importInvalid('', `it is nested more than ${DEEPEST} levels deep`);
  return value;
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

function adopt(chat: ExportedChat, path: string, { createId, presetIds }: Identity): StoredChat {
  const id = createId();
  const newIds = new Map<string, string>();
  const messages = chat.messages.map((message, index) => adoptMessage(message, `${path}.messages.${index}`, id, newIds, createId));
  const leafId = chat.leafId === null ? newestLeafUnder(messages, null) : newIds.get(chat.leafId);
  if (leafId === undefined) throw importInvalid(`${path}.leafId`, `there is no message "${chat.leafId}"`);
  const presetId = chat.presetId !== null && presetIds.has(chat.presetId) ? chat.presetId : null;
  return { ...chat, id, titleByUser: true, presetId, leafId, messageCount: messages.length, messages };
}

/** Adds to `newIds`. A parent must come first, so there can be no cycle. */
function adoptMessage(message: ExportedMessage, path: string, chatId: string, newIds: Map<string, string>, createId: () => string): Message {
  if (newIds.has(message.id)) throw importInvalid(`${path}.id`, `"${message.id}" is used twice`);
  const parentId = message.parentId === null ? null : newIds.get(message.parentId);
  if (parentId === undefined) throw importInvalid(`${path}.parentId`, `there is no message "${message.parentId}" before this one`);
  const id = createId();
  newIds.set(message.id, id);
  return { ...message, id, chatId, parentId, state: message.state === 'streaming' ? 'interrupted' : message.state, hasRoutes: false };
}
