// Generations that nobody keeps: see contract/trials.ts.
import { type Handlers, MoebiusError, type Publish } from '../contract/index.ts';
import { statsOf } from './figures.ts';
import type { Generation, Generations } from './generation.ts';

export class TrialService {
  readonly #generations: Generations;
  readonly #publish: Publish;
  /** by ticket */
  readonly #running = new Map<string, Generation>();

  constructor(generations: Generations, publish: Publish) {
    this.#generations = generations;
    this.#publish = publish;
  }

  readonly handlers: Pick<Handlers, 'trials.run' | 'trials.cancel'> = {
    'trials.run': async ({ ticket, modelId, input, parameters }) => {
      if (this.#running.has(ticket))
        throw new MoebiusError('generation.duplicate', `A trial with the ticket "${ticket}" is running; cancel it or choose another.`);
      const generation = this.#generations.start(
        { ...parameters, modelId, input },
        { onTokens: (tokens) => this.#publish('trials.delta', { ticket, text: tokens.map(({ text }) => text).join('') }) },
      );
      this.#running.set(ticket, generation);
      try {
        const outcome = await generation.done;
        const { text, message, finishReason, adapters } = outcome;
        return { text: message?.content ?? text, reasoning: message?.reasoningContent ?? '', finishReason, stats: statsOf(outcome), adapters };
      } finally {
        this.#running.delete(ticket);
      }
    },
    'trials.cancel': ({ ticket }) => {
      this.#running.get(ticket)?.cancel();
      return {};
    },
  };

  dispose(): void {
    for (const generation of this.#running.values()) generation.cancel();
  }
}
