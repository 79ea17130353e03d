// Shapes of chat-completions responses: the object, and the chunks of a stream.
import { randomBytes } from 'node:crypto';
import type { FinishReason, ToolCall } from '../../contract/index.ts';
import type { TokenPiece } from '../../engine/engine.ts';
import type { GenerationOutcome } from '../../generation/generation.ts';

export interface CompletionIdentity {
  id: string;
  created: number;
  model: string;
}

export function newIdentity(model: string): CompletionIdentity {
  return { id: `chatcmpl-${randomBytes(16).toString('hex')}`, created: Math.floor(Date.now() / 1000), model };
}

export function finishReason(reason: FinishReason, toolCalls: ToolCall[]): 'stop' | 'length' | 'tool_calls' {
  if (toolCalls.length > 0) return 'tool_calls';
  return reason === 'length' || reason === 'contextFull' ? 'length' : 'stop';
}

export function usage(outcome: GenerationOutcome) {
  return {
    prompt_tokens: outcome.promptTokens,
    completion_tokens: outcome.tokens,
    total_tokens: outcome.promptTokens + outcome.tokens,
    prompt_tokens_details: { cached_tokens: outcome.cachedTokens },
  };
}

/** Speeds, as llama-server reports them beside OpenAI's fields. */
export function timings(outcome: GenerationOutcome) {
  const evaluated = outcome.promptTokens - outcome.cachedTokens;
  const perSecond = (tokens: number, milliseconds: number) => (milliseconds > 0 ? (tokens / milliseconds) * 1000 : 0);
  return {
    prompt_n: evaluated,
    prompt_ms: outcome.promptMilliseconds,
    prompt_per_second: perSecond(evaluated, outcome.promptMilliseconds),
    predicted_n: outcome.tokens,
    predicted_ms: outcome.decodeMilliseconds,
    predicted_per_second: perSecond(outcome.tokens, outcome.decodeMilliseconds),
  };
}

export function logprobsContent(tokens: TokenPiece[]) {
  const decoder = new TextDecoder();
  const shown = (text: string, logprob: number) => ({ token: text, logprob, bytes: [...Buffer.from(text)] });
  const content = tokens
    .filter((token) => token.logprob !== null)
    .map((token) => ({
      ...shown(token.text, token.logprob ?? 0),
      top_logprobs: token.top.map((top) => ({ ...shown(decoder.decode(top.bytes), top.logprob), bytes: [...top.bytes] })),
    }));
  return content.length > 0 ? { content } : null;
}

export const toToolCalls = (calls: ToolCall[]) => calls.map(({ id, name, arguments: text }) => ({ id, type: 'function', function: { name, arguments: text } }));

export function completionObject(identity: CompletionIdentity, outcome: GenerationOutcome, tokens: TokenPiece[]) {
  const toolCalls = outcome.message?.toolCalls ?? [];
  const message = {
    role: 'assistant',
    content: outcome.message?.content ?? outcome.text,
    ...(outcome.message?.reasoningContent ? { reasoning_content: outcome.message.reasoningContent } : {}),
    ...(toolCalls.length > 0 ? { tool_calls: toToolCalls(toolCalls) } : {}),
    refusal: null,
  };
  return {
    ...identity,
    object: 'chat.completion',
    choices: [{ index: 0, message, logprobs: logprobsContent(tokens), finish_reason: finishReason(outcome.finishReason, toolCalls) }],
    usage: usage(outcome),
    timings: timings(outcome),
  };
}

export function chunk(identity: CompletionIdentity, delta: object, finish: string | null = null, logprobs: object | null = null) {
  return { ...identity, object: 'chat.completion.chunk', choices: [{ index: 0, delta, logprobs, finish_reason: finish }] };
}

/** the last chunk before [DONE] when `stream_options.include_usage` is set: no choices */
export function usageChunk(identity: CompletionIdentity, outcome: GenerationOutcome) {
  return { ...identity, object: 'chat.completion.chunk', choices: [], usage: usage(outcome), timings: timings(outcome) };
}
