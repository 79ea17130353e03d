// How fast a run is, by its last steps.
import type { RunEvent } from '../../contract/index.ts';

/** Steps that count. */
const RECENT = 20;

type Step = Extract<RunEvent, { event: 'step' }>;

export class RunClock {
  readonly #steps: { tokens: number; seconds: number }[] = [];

  add({ tokens, seconds }: Step): void {
    this.#steps.push({ tokens, seconds });
    if (this.#steps.length > RECENT) this.#steps.shift();
  }

  /** null: no step yet */
  get tokensPerSecond(): number | null {
    const { tokens, seconds } = this.#sums();
    return seconds > 0 ? tokens / seconds : null;
  }

  /** For so many more steps; looks at the validation part, checkpoints and samples come on top. */
  secondsFor(steps: number): number | null {
    return this.#steps.length === 0 ? null : (steps * this.#sums().seconds) / this.#steps.length;
  }

  #sums(): { tokens: number; seconds: number } {
    return this.#steps.reduce((sum, step) => ({ tokens: sum.tokens + step.tokens, seconds: sum.seconds + step.seconds }), { tokens: 0, seconds: 0 });
  }
}
