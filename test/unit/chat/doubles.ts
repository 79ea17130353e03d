import type { Message } from '../../../main/contract/index.ts';

/** A message with every field; `changes` wins. */
export function message(changes: Partial<Message> = {}): Message {
  return {
    id: 'm',
    chatId: 'c',
    parentId: null,
    role: 'user',
    text: '',
    reasoning: '',
    toolCalls: [],
    state: 'complete',
    finishReason: null,
    error: null,
    modelId: null,
    adapters: [],
    stats: null,
    hasRoutes: false,
    createdAt: 1,
    ...changes,
  };
}
