// Asks what load options would come to, again with every change: first the memory, which is quick, then speed and its limit.
import { type CoreClient, type ErrorBody, type Estimate, type LoadOptions, type PlanResult, toErrorBody } from '../../../main/contract/index.ts';

/** Changes within this time are one question. */
const SETTLE_MS = 120;

export interface LivePlanState {
  /** what is waited for; null: what is shown is what the options come to */
  pending: 'estimate' | 'plan' | null;
  /** the latest that was answered */
  estimate: Estimate | null;
  /** of `estimate`; null: it does not fit, or the answer is not there yet. With `pending` it is that of older options */
  plan: PlanResult | null;
  error: ErrorBody | null;
}

export class LivePlan {
  readonly #client: CoreClient;
  readonly #id: string;
  readonly #ticket = crypto.randomUUID();
  readonly #listeners = new Set<() => void>();
  #state: LivePlanState = { pending: 'estimate', estimate: null, plan: null, error: null };
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** of the latest question; answers to others are dropped */
  #question = 0;

  constructor(client: CoreClient, id: string) {
    this.#client = client;
    this.#id = id;
  }

  get state(): LivePlanState {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  ask(options: LoadOptions): void {
    const question = this.#next();
    this.#set({ pending: 'estimate' });
    this.#timer = setTimeout(() => void this.#answer(question, options), SETTLE_MS);
  }

  /** What is under way is given up; nothing is told any more until the next question. */
  cancel(): void {
    this.#next();
  }

  #next(): number {
    clearTimeout(this.#timer);
    // Whether the core still works on it, it knows best.
    if (this.#state.pending === 'plan') this.#client.call('models.cancelPlan', { ticket: this.#ticket }).catch(() => undefined);
    this.#question += 1;
    return this.#question;
  }

  async #answer(question: number, options: LoadOptions): Promise<void> {
    const tell = (change: Partial<LivePlanState>) => question === this.#question && this.#set(change);
    const proposal = { id: this.#id, options, exact: true };
    try {
      const estimate = await this.#client.call('models.estimate', proposal);
      if (question !== this.#question) return;
      this.#set({ estimate, error: null, ...(estimate.fits ? { pending: 'plan' } : { pending: null, plan: null }) });
      // Exactly what is shown, even if some memory came free meanwhile.
      if (estimate.fits)
        tell({ plan: await this.#client.call('models.plan', { ...proposal, options: estimate.options, ticket: this.#ticket }), pending: null });
    } catch (error) {
      tell({ error: toErrorBody(error), plan: null, pending: null });
    }
  }

  #set(change: Partial<LivePlanState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
