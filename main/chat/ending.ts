// How a reply ends: pure functions from what was streamed and what came of it to the final message.
import { type ErrorCode, type Message, MoebiusError, toErrorBody } from '../contract/index.ts';
import { statsOf } from '../generation/figures.ts';
import type { GenerationOutcome } from '../generation/generation.ts';

/** The engine went away under the reply: whatever there is of it is a prefix. */
const engineGone = new Set<ErrorCode>(['engine.died', 'engine.unresponsive', 'engine.crash-loop']);

/** `begun` is the message as it was when this run began: empty, or the text that it went on from. */
export function ended(begun: Message, outcome: GenerationOutcome): Message {
  const { finishReason, message: parsed } = outcome;
  const goneOn = begun.text !== '';
  const understood = parsed !== null && parsed.content + parsed.reasoningContent + parsed.toolCalls.map((call) => call.name).join('') !== '';
  return {
    ...begun,
    // a continuation is half of a reply, which the template's rules cannot parse: its text is taken as it was streamed
    text: !goneOn && understood ? parsed.content : begun.text + outcome.text,
    reasoning: !goneOn && understood ? parsed.reasoningContent : begun.reasoning,
    toolCalls: [...begun.toolCalls, ...(parsed?.toolCalls ?? [])],
    state: finishReason === 'cancelled' ? 'stopped' : 'complete',
    finishReason,
    error: null,
    stats: statsOf(outcome, begun.stats),
  };
}

/** `text` is all there is of the reply, the part it went on from included. */
export function broken(begun: Message, text: string, error: unknown): Message {
  const body = toErrorBody(error);
  if (body.code === 'cancelled') return { ...begun, text, state: 'stopped', finishReason: 'cancelled', error: null };
  const state = text !== '' || engineGone.has(body.code) ? 'interrupted' : 'failed';
  return { ...begun, text, state, finishReason: null, error: body };
}

export function cancelled(): MoebiusError {
  return new MoebiusError('cancelled', 'The reply was stopped.');
}
