import type { Message } from '../contract/index.ts';

type Named = 'id' | 'chatId' | 'parentId' | 'role' | 'text' | 'createdAt';

/** A message that is written to its end, without anything that only a model's reply has, unless `values` say so. */
export function newMessage(values: Pick<Message, Named> & Partial<Message>): Message {
  return {
    reasoning: '',
    toolCalls: [],
    state: 'complete',
    finishReason: null,
    error: null,
    modelId: null,
    adapters: [],
    stats: null,
    hasRoutes: false,
    ...values,
  };
}
