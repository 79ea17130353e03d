// From a branch and its settings to what the engine is asked.
import type { EngineMessage, GenerationParameters, Message } from '../contract/index.ts';
import type { ChatInput } from '../engine/protocol.ts';

/** What `over` says wins; sampling is merged setting by setting. */
export function mergeParameters(under: GenerationParameters, over: GenerationParameters): GenerationParameters {
  if (under.sampling === undefined || over.sampling === undefined) return { ...under, ...over };
  const { grammar, jsonSchema, ...rest } = under.sampling;
  // the engine takes one of the two: either kind replaces either kind
  const constrained = over.sampling.grammar !== undefined || over.sampling.jsonSchema !== undefined;
  const kept = { ...(grammar !== undefined && { grammar }), ...(jsonSchema !== undefined && { jsonSchema }) };
  return { ...under, ...over, sampling: { ...rest, ...(constrained ? {} : kept), ...over.sampling } };
}

/** The first that is not empty. */
export function firstPrompt(...prompts: (string | undefined)[]): string {
  return prompts.find((prompt) => prompt !== undefined && prompt.trim() !== '') ?? '';
}

/** `path` is root first. With `continuing`, its last message is the assistant's that is to be gone on with. */
export function chatInput(systemPrompt: string, path: readonly Message[], continuing: boolean): ChatInput {
  const system: EngineMessage[] = systemPrompt === '' ? [] : [{ role: 'system', content: systemPrompt }];
  const messages = [...system, ...path.filter(saysSomething).map(engineMessage).reduce(joinUserMessages, [])];
  return continuing ? { messages, continueFinalMessage: true } : { messages };
}

/** Replies that never came (failed, or ended before the first word) are no part of the conversation. */
function saysSomething(message: Message): boolean {
  return message.role === 'user' || message.text !== '' || message.toolCalls.length > 0;
}

function engineMessage(message: Message): EngineMessage {
  const { role, text: content, reasoning, toolCalls } = message;
  return { role, content, ...(reasoning !== '' && { reasoningContent: reasoning }), ...(toolCalls.length > 0 && { toolCalls }) };
}

/** Where a reply is missing, two user messages meet; many chat templates insist on turns, so they become one. */
function joinUserMessages(messages: EngineMessage[], next: EngineMessage): EngineMessage[] {
  const last = messages.at(-1);
  if (last?.role !== 'user' || next.role !== 'user') return [...messages, next];
  return [...messages.slice(0, -1), { role: 'user', content: `${last.content}\n\n${next.content}` }];
}
