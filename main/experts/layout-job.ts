// One layout file that the engine writes in the background.
import type { LayoutState } from '../contract/index.ts';
import type { Engine } from '../engine/engine.ts';

const TELL_EVERY_MS = 250;

export interface LayoutJobParts {
  engine: Engine;
  modelId: string;
  /** of the model */
  path: string;
  /** recorded routing to order the experts by; null: by number */
  trace: string | null;
  /** it got on; at most a few times a second */
  onChange: () => void;
}

export class LayoutJob {
  readonly modelId: string;
  /** null: it is written; else why not. Never rejects. */
  readonly done: Promise<unknown>;
  progress: NonNullable<LayoutState['writing']> = { fraction: 0, paused: false };
  readonly #stop = new AbortController();
  readonly #onChange: () => void;
  #toldAt = 0;

  constructor({ engine, modelId, path, trace, onChange }: LayoutJobParts) {
    this.modelId = modelId;
    this.#onChange = onChange;
    this.done = engine
      .call(
        'experts.writeLayout',
        { path, background: true, ...(trace === null ? {} : { trace }) },
        { signal: this.#stop.signal, onProgress: ({ fraction, stage }) => this.#moved({ fraction, paused: stage === 'paused' }) },
      )
      .then(
        () => null,
        (error: unknown) => error,
      );
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** What was written so far is deleted. */
  stop(): void {
    this.#stop.abort();
  }

  #moved(progress: LayoutJob['progress']): void {
    const now = performance.now();
    const isNews = progress.paused !== this.progress.paused || now - this.#toldAt >= TELL_EVERY_MS;
    this.progress = progress;
    if (!isNews) return;
    this.#toldAt = now;
    this.#onChange();
  }
}
