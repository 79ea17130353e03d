// What single tokens of a model read as. The engine tells it once per token; generated tokens bring their text along, prompt tokens do not.
import type { Engine } from '../engine/engine.ts';

/** Calls in flight at once: enough to hide the way there and back, few enough to leave room for others. */
const PARALLEL = 32;

export class PieceCache {
  readonly #engine: Engine;
  /** per model file */
  readonly #pieces = new Map<string, Map<number, string>>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Asks for tokens that are not known yet; `model` is the engine's handle, `path` its file. Never rejects: a token that the engine cannot give stays unknown. */
  async fetch(path: string, model: number, tokenIds: Iterable<number>): Promise<void> {
    const known = this.#of(path);
    const wanted = [...new Set(tokenIds)].filter((id) => !known.has(id));
    const fetchNext = async (): Promise<void> => {
      for (let id = wanted.pop(); id !== undefined; id = wanted.pop()) {
        // twice: SentencePiece vocabularies drop the space in front of a whole text, so only the second one reads as it does inside a text
        const { text } = await this.#engine.call('model.detokenize', { model, tokens: [id, id] });
        known.set(id, text.slice(Math.floor(text.length / 2)));
      }
    };
    // without an engine the rest is given up
    await Promise.allSettled(Array.from({ length: PARALLEL }, fetchNext));
  }

  /** The empty string when unknown. */
  get(path: string, tokenId: number): string {
    return this.#of(path).get(tokenId) ?? '';
  }

  #of(path: string): Map<number, string> {
    let pieces = this.#pieces.get(path);
    if (pieces === undefined) {
      pieces = new Map();
      this.#pieces.set(path, pieces);
    }
    return pieces;
  }
}
