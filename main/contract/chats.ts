// Conversations are trees: every message has a parent; the shown branch is the path from the root to `leafId`.
import { z } from 'zod';
import { FinishReason, LossyUses, Sampling, ToolCall } from '../engine/protocol.ts';
import { AdapterChoices, AppliedAdapter } from './adapters.ts';
import { ErrorBody } from './errors.ts';

export const GenerationParameters = z.strictObject({
  sampling: Sampling.optional(),
  maxTokens: z.number().int().min(1).optional(),
  stop: z.array(z.string().min(1)).max(16).optional(),
  overflow: z.enum(['error', 'stop', 'shift']).optional(),
  /** those of another model than the one that answers are left out */
  adapters: AdapterChoices.optional(),
});
export type GenerationParameters = z.infer<typeof GenerationParameters>;

export const MessageStats = z.object({
  promptTokens: z.number().int(),
  cachedTokens: z.number().int(),
  tokens: z.number().int(),
  tokensPerSecond: z.number(),
  promptTokensPerSecond: z.number(),
  timeToFirstTokenMs: z.number(),
  seed: z.number().int(),
  /** uses of experts at low precision or left out, while these modes were on; absent: they were off */
  lossy: LossyUses.optional(),
});
export type MessageStats = z.infer<typeof MessageStats>;

export const MessageState = z.enum(['complete', 'streaming', 'stopped', 'interrupted', 'failed']);
export const Message = z.object({
  id: z.string(),
  chatId: z.string(),
  parentId: z.string().nullable(),
  role: z.enum(['user', 'assistant']),
  text: z.string(),
  reasoning: z.string(),
  toolCalls: z.array(ToolCall),
  /** `interrupted`: the engine or the app died; the text is the prefix that had been streamed */
  state: MessageState,
  finishReason: FinishReason.nullable(),
  error: ErrorBody.nullable(),
  modelId: z.string().nullable(),
  /** that were on when it was written, last */
  adapters: z.array(AppliedAdapter).default([]),
  stats: MessageStats.nullable(),
  hasRoutes: z.boolean(),
  createdAt: z.number(),
});
export type Message = z.infer<typeof Message>;

export const ChatSummary = z.object({
  id: z.string(),
  title: z.string(),
  modelId: z.string().nullable(),
  messageCount: z.number().int(),
  createdAt: z.number(),
  updatedAt: z.number(),
  /** for search results: the matching passage, matches between U+0002 and U+0003 */
  snippet: z.string().nullable(),
});
export type ChatSummary = z.infer<typeof ChatSummary>;

export const Chat = ChatSummary.omit({ snippet: true }).extend({
  systemPrompt: z.string(),
  parameters: GenerationParameters,
  presetId: z.string().nullable(),
  leafId: z.string().nullable(),
  /** every message of the tree, oldest first */
  messages: z.array(Message),
});
export type Chat = z.infer<typeof Chat>;

export const Preset = z.object({ id: z.string(), name: z.string(), systemPrompt: z.string(), parameters: GenerationParameters, builtIn: z.boolean() });
export type Preset = z.infer<typeof Preset>;

const Id = z.strictObject({ id: z.string() });
const Ok = z.object({});
/** Both messages are stored durably when this is answered; the reply then streams as `chat.delta` events. */
const Sent = z.object({ userMessage: Message.nullable(), assistantMessage: Message });

export const chatMethods = {
  'chats.list': { parameters: z.strictObject({ query: z.string().optional() }), result: z.array(ChatSummary) },
  'chats.create': {
    parameters: z.strictObject({
      title: z.string().optional(),
      modelId: z.string().optional(),
      systemPrompt: z.string().optional(),
      presetId: z.string().optional(),
    }),
    result: Chat,
  },
  'chats.get': { parameters: Id, result: Chat },
  'chats.update': {
    parameters: Id.extend({
      title: z.string().min(1).optional(),
      modelId: z.string().nullable().optional(),
      systemPrompt: z.string().optional(),
      parameters: GenerationParameters.optional(),
      presetId: z.string().nullable().optional(),
      /** any message: the branch shown becomes the one through it, down its newest children */
      leafId: z.string().optional(),
    }),
    result: Chat,
  },
  'chats.delete': { parameters: Id, result: Ok },
  'chats.export': { parameters: Id.extend({ format: z.enum(['json', 'markdown']) }), result: z.object({ fileName: z.string(), content: z.string() }) },
  /** JSON (ours; all branches) or Markdown (one branch) */
  'chats.import': { parameters: z.strictObject({ format: z.enum(['json', 'markdown']), content: z.string() }), result: z.array(ChatSummary) },
  /** a user message under `parentId` (default: the current leaf; null: a new root), then a reply */
  'chat.send': { parameters: z.strictObject({ chatId: z.string(), text: z.string().min(1), parentId: z.string().nullable().optional() }), result: Sent },
  /** a sibling of a user message with new text, then a reply */
  'chat.edit': { parameters: z.strictObject({ messageId: z.string(), text: z.string().min(1) }), result: Sent },
  /** a sibling of an assistant message */
  'chat.regenerate': { parameters: z.strictObject({ messageId: z.string() }), result: Sent },
  /** goes on writing the same assistant message */
  'chat.continue': { parameters: z.strictObject({ messageId: z.string() }), result: Sent },
  'chat.stop': { parameters: z.strictObject({ messageId: z.string() }), result: Message },
  /** the message and everything below it */
  'chat.deleteMessage': { parameters: z.strictObject({ messageId: z.string() }), result: Chat },
  'presets.list': { parameters: z.strictObject({}), result: z.array(Preset) },
  'presets.save': { parameters: Preset.omit({ builtIn: true, id: true }).extend({ id: z.string().optional() }), result: Preset },
  'presets.delete': { parameters: Id, result: Ok },
} as const;

export const chatEvents = {
  /** text appended to a streaming message since the last delta, at most 60 a second a message; `offset` is the text's length before it */
  'chat.delta': z.object({
    chatId: z.string(),
    messageId: z.string(),
    offset: z.number().int(),
    text: z.string(),
    tokens: z.number().int(),
    tokensPerSecond: z.number(),
  }),
  /** prompt evaluation, 0..1 */
  'chat.progress': z.object({ chatId: z.string(), messageId: z.string(), fraction: z.number() }),
  /** a message was created or reached its final state */
  'chat.message': Message,
  'chats.changed': ChatSummary,
  'chats.removed': Id,
} as const;
