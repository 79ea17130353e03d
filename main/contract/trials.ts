// Trials: generations that are no part of a conversation and are not kept, to see what a model says, with an adapter or without.
import { z } from 'zod';
import { ChatInput, FinishReason } from '../engine/protocol.ts';
import { AppliedAdapter } from './adapters.ts';
import { GenerationParameters, MessageStats } from './chats.ts';

/** of whoever asks, unique among running trials */
const Ticket = z.strictObject({ ticket: z.string().min(1).max(100) });

export const Trial = z.object({
  text: z.string(),
  reasoning: z.string(),
  finishReason: FinishReason,
  stats: MessageStats,
  adapters: z.array(AppliedAdapter),
});
export type Trial = z.infer<typeof Trial>;

export const trialMethods = {
  /** Answers when the generation has ended; its text streams as `trials.delta`. `parameters.adapters` says what is on. */
  'trials.run': {
    parameters: Ticket.extend({
      modelId: z.string(),
      input: z.union([z.strictObject({ chat: ChatInput }), z.strictObject({ prompt: z.string().min(1) })]),
      parameters: GenerationParameters.default({}),
    }),
    result: Trial,
  },
  /** `trials.run` then answers with what there is, finishReason `cancelled` */
  'trials.cancel': { parameters: Ticket, result: z.object({}) },
} as const;

export const trialEvents = {
  'trials.delta': Ticket.extend({ text: z.string() }),
} as const;
