// Gathers the ROUTES frames of one generation and turns them into the rows that are stored.
import type { RoutesFrame } from '../engine/engine.ts';
import { encodeRecord } from './route-record.ts';

/** Evaluated tokens whose routes are kept of one generation; the rest is counted as omitted. 48 layers x 8 experts make 1.5 KiB a token. */
export const MAXIMUM_ROUTED_TOKENS = 16_384;
/** Tokens of one row: what a page of the token inspector reads. */
const ROW_TOKENS = 256;

export interface RouteRow {
  /** counted over the message, in order of evaluation */
  firstToken: number;
  tokenCount: number;
  prompt: boolean;
  /** a record of trace-format.md with sequence 0 */
  record: Uint8Array;
  tokenIds: Int32Array;
}

interface Run {
  firstPosition: number;
  prompt: boolean;
  slices: { frame: RoutesFrame; start: number; end: number }[];
  tokenCount: number;
}

export class RouteCollector {
  readonly #room: number;
  readonly #frames: RoutesFrame[] = [];
  #kept = 0;
  #omitted = 0;

  /** `room`: tokens that may still be kept. */
  constructor(room: number) {
    this.#room = room;
  }

  /** Tokens that came beyond the room. */
  get omitted(): number {
    return this.#omitted;
  }

  /** Tokens that are kept. */
  get kept(): number {
    return this.#kept;
  }

  add(frame: RoutesFrame): void {
    const taken = Math.min(frame.tokenIds.length, this.#room - this.#kept);
    this.#kept += taken;
    this.#omitted += frame.tokenIds.length - taken;
    if (taken > 0) this.#frames.push(taken === frame.tokenIds.length ? frame : sliceFrame(frame, 0, taken));
  }

  /** Rows of consecutive positions, cut where the prompt ends: the first `promptTokens` tokens are the prompt's. */
  rows(firstToken: number, promptTokens: number): RouteRow[] {
    const runs: Run[] = [];
    let seen = 0;
    for (const frame of this.#frames) {
      for (let start = 0; start < frame.tokenIds.length; ) {
        const prompt = seen < promptTokens;
        const position = frame.firstPosition + start;
        const last = runs.at(-1);
        const joins = last !== undefined && last.prompt === prompt && last.firstPosition + last.tokenCount === position && last.tokenCount < ROW_TOKENS;
        const run = joins ? last : { firstPosition: position, prompt, slices: [], tokenCount: 0 };
        if (!joins) runs.push(run);
        const room = Math.min(ROW_TOKENS - run.tokenCount, prompt ? promptTokens - seen : ROW_TOKENS);
        const end = Math.min(frame.tokenIds.length, start + room);
        run.slices.push({ frame, start, end });
        run.tokenCount += end - start;
        seen += end - start;
        start = end;
      }
    }
    let next = firstToken;
    return runs.map((run) => {
      const row = toRow(run, next);
      next += run.tokenCount;
      return row;
    });
  }
}

function sliceFrame(frame: RoutesFrame, start: number, end: number): RoutesFrame {
  const cells = frame.layerCount * frame.expertUsedCount;
  return {
    ...frame,
    firstPosition: frame.firstPosition + start,
    tokenIds: frame.tokenIds.slice(start, end),
    experts: frame.experts.slice(start * cells, end * cells),
    weights: frame.weights.slice(start * cells, end * cells),
  };
}

function toRow(run: Run, firstToken: number): RouteRow {
  const { layerCount = 0, expertUsedCount = 0 } = run.slices[0]?.frame ?? {};
  const cells = layerCount * expertUsedCount;
  const tokenIds = new Int32Array(run.tokenCount);
  const experts = new Uint16Array(run.tokenCount * cells);
  const weights = new Float32Array(run.tokenCount * cells);
  let at = 0;
  for (const { frame, start, end } of run.slices) {
    tokenIds.set(frame.tokenIds.subarray(start, end), at);
    experts.set(frame.experts.subarray(start * cells, end * cells), at * cells);
    weights.set(frame.weights.subarray(start * cells, end * cells), at * cells);
    at += end - start;
  }
  const record = encodeRecord({ sequence: 0, firstPosition: run.firstPosition, tokenIds, experts, weights }, { layerCount, expertUsedCount });
  return { firstToken, tokenCount: run.tokenCount, prompt: run.prompt, record, tokenIds };
}
