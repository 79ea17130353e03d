// Rows of the tables of migration 1, and what the contract calls them.
import { z } from 'zod';
import { AppliedAdapter, type Chat, type ChatSummary, ErrorBody, GenerationParameters, type Message, MessageStats, ToolCall } from '../contract/index.ts';
import type { Statement } from '../storage/database.ts';

export interface MessageRow extends Pick<Message, 'id' | 'role' | 'text' | 'reasoning' | 'state'> {
  chat_id: string;
  parent_id: string | null;
  tool_calls: string;
  finish_reason: Message['finishReason'];
  error: string | null;
  model_id: string | null;
  adapters: string;
  stats: string | null;
  has_routes: 0 | 1;
  created_at: number;
}

export interface SummaryRow {
  id: string;
  title: string;
  model_id: string | null;
  message_count: number;
  created_at: number;
  updated_at: number;
}

export interface ChatRow extends SummaryRow {
  title_by_user: 0 | 1;
  system_prompt: string;
  parameters: string;
  preset_id: string | null;
  leaf_id: string | null;
}

/** A chat as stored; the contract's Chat does not tell who chose the title. */
export interface StoredChat extends Chat {
  titleByUser: boolean;
}

const ToolCalls = z.array(ToolCall);
const Adapters = z.array(AppliedAdapter);

export function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    chatId: row.chat_id,
    parentId: row.parent_id,
    role: row.role,
    text: row.text,
    reasoning: row.reasoning,
    toolCalls: row.tool_calls === '[]' ? [] : ToolCalls.parse(JSON.parse(row.tool_calls)),
    state: row.state,
    finishReason: row.finish_reason,
    error: row.error === null ? null : ErrorBody.parse(JSON.parse(row.error)),
    modelId: row.model_id,
    adapters: row.adapters === '[]' ? [] : Adapters.parse(JSON.parse(row.adapters)),
    stats: row.stats === null ? null : MessageStats.parse(JSON.parse(row.stats)),
    hasRoutes: row.has_routes === 1,
    createdAt: row.created_at,
  };
}

export function toSummary(row: SummaryRow, snippet: string | null): ChatSummary {
  return {
    id: row.id,
    title: row.title,
    modelId: row.model_id,
    messageCount: row.message_count,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    snippet,
  };
}

export function toStoredChat(row: ChatRow, messages: Message[]): StoredChat {
  const { snippet: _, ...summary } = toSummary(row, null);
  return {
    ...summary,
    messageCount: messages.length,
    systemPrompt: row.system_prompt,
    parameters: GenerationParameters.parse(JSON.parse(row.parameters)),
    presetId: row.preset_id,
    leafId: row.leaf_id,
    messages,
    titleByUser: row.title_by_user === 1,
  };
}

const json = (value: unknown) => (value === null ? null : JSON.stringify(value));

export function insertMessage(message: Message): Statement {
  return {
    sql: `INSERT INTO messages (id, chat_id, parent_id, role, text, reasoning, tool_calls, state, finish_reason, error, model_id, adapters, stats, has_routes, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    parameters: [message.id, message.chatId, message.parentId, message.role, ...changing(message), message.createdAt],
  };
}

/** Everything of a message that may change after it was created. */
export function updateMessage(message: Message): Statement {
  return {
    sql: 'UPDATE messages SET text = ?, reasoning = ?, tool_calls = ?, state = ?, finish_reason = ?, error = ?, model_id = ?, adapters = ?, stats = ?, has_routes = ? WHERE id = ?',
    parameters: [...changing(message), message.id],
  };
}

function changing(message: Message) {
  const { text, reasoning, state, finishReason, modelId } = message;
  return [
    text,
    reasoning,
    JSON.stringify(message.toolCalls),
    state,
    finishReason,
    json(message.error),
    modelId,
    JSON.stringify(message.adapters),
    json(message.stats),
    Number(message.hasRoutes),
  ];
}

export function insertChat(chat: StoredChat): Statement {
  return {
    sql: `INSERT INTO chats (id, title, title_by_user, model_id, system_prompt, parameters, preset_id, leaf_id, created_at, updated_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    parameters: [chat.id, ...changingOfChat(chat), chat.createdAt, chat.updatedAt],
  };
}

export function updateChat(chat: StoredChat): Statement {
  return {
    sql: 'UPDATE chats SET title = ?, title_by_user = ?, model_id = ?, system_prompt = ?, parameters = ?, preset_id = ?, leaf_id = ?, updated_at = ? WHERE id = ?',
    parameters: [...changingOfChat(chat), chat.updatedAt, chat.id],
  };
}

function changingOfChat(chat: StoredChat) {
  return [chat.title, Number(chat.titleByUser), chat.modelId, chat.systemPrompt, JSON.stringify(chat.parameters), chat.presetId, chat.leafId];
}
