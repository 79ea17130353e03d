// The latest routing of one model, kept to choose its cache policy by: which experts, never which tokens. Bounded; the oldest leaves first.
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { RoutesFrame } from '../engine/engine.ts';
import { encodeRecord, payloadBytes, RECORD_OVERHEAD, type RouteRecord } from './route-record.ts';
import { encodeTraceHeader, type TraceHeader, traceShape } from './trace-header.ts';
import { TraceFile } from './trace-reader.ts';

/** Of prompts the end is kept: a batch reads most experts, however long it is. */
const PROMPT_TOKENS = 512;

/** The routing of one generation: at most a prompt and a reply. */
interface Episode {
  records: RouteRecord[];
  tokens: number;
  bytes: number;
}

export class RoutingHistory {
  readonly header: TraceHeader;
  readonly #limitBytes: number;
  #episodes: Episode[] = [];
  #saved: Promise<void> = Promise.resolve();

  /** `limitBytes`: of the trace file that `save` writes, but for its header. */
  constructor(header: TraceHeader, limitBytes: number) {
    this.header = header;
    this.#limitBytes = limitBytes;
  }

  /** What `save` left at `path`; nothing when the file is missing, unreadable or of a model of another shape. */
  static async open(path: string, header: TraceHeader, limitBytes: number): Promise<RoutingHistory> {
    const history = new RoutingHistory(header, limitBytes);
    const trace = new TraceFile(path);
    const episodes = new Map<number, RouteRecord[]>();
    try {
      for await (const record of trace) {
        const records = episodes.get(record.sequence) ?? [];
        episodes.set(record.sequence, [...records, record]);
      }
    } catch {
      return history;
    }
    if (JSON.stringify(trace.header) !== JSON.stringify(header)) return history;
    for (const records of episodes.values()) history.#push(records);
    return history;
  }

  get tokens(): number {
    return this.#episodes.reduce((sum, { tokens }) => sum + tokens, 0);
  }

  /** The frames of one generation, in order; their first `promptTokens` tokens are its prompt. */
  add(frames: readonly RoutesFrame[], promptTokens: number): void {
    const whole = joined(frames);
    const count = whole.experts.length / this.#cells;
    const reply = Math.max(1, Math.floor(this.#limitBytes / 4 / this.#bytesPerToken));
    // a sequence begins with its prompt: of a reply without one, the first token stands for it
    const boundary = Math.min(Math.max(promptTokens, 1), count);
    const records = [this.#slice(whole, Math.max(0, boundary - PROMPT_TOKENS), boundary), this.#slice(whole, boundary, Math.min(count, boundary + reply))];
    this.#push(records.filter(({ tokenIds }) => tokenIds.length > 0));
  }

  /** Replaces the file at `path`; one after another. */
  save(path: string): Promise<void> {
    const saving = this.#saved.then(() => this.#write(path));
    this.#saved = saving.catch(() => undefined);
    return saving;
  }

  async #write(path: string): Promise<void> {
    const shape = traceShape(this.header);
    const records = this.#episodes.flatMap((episode, sequence) => episode.records.map((record) => encodeRecord({ ...record, sequence }, shape)));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, Buffer.concat([encodeTraceHeader(this.header), ...records]));
    await rename(`${path}.new`, path).catch(async (error: unknown) => {
      await rm(`${path}.new`, { force: true });
      throw error;
    });
  }

  get #cells(): number {
    const { layerCount, expertUsedCount } = traceShape(this.header);
    return layerCount * expertUsedCount;
  }

  get #bytesPerToken(): number {
    const shape = traceShape(this.header);
    return payloadBytes(1, shape) - payloadBytes(0, shape);
  }

  #slice({ experts, weights }: Pick<RouteRecord, 'experts' | 'weights'>, from: number, to: number): RouteRecord {
    const cells = this.#cells;
    return {
      sequence: 0,
      firstPosition: from,
      tokenIds: new Int32Array(Math.max(0, to - from)),
      experts: experts.slice(from * cells, to * cells),
      weights: weights.slice(from * cells, to * cells),
    };
  }

  #push(records: RouteRecord[]): void {
    if (records.length === 0) return;
    const shape = traceShape(this.header);
    const bytes = records.reduce((sum, { tokenIds }) => sum + payloadBytes(tokenIds.length, shape) + RECORD_OVERHEAD, 0);
    const tokens = records.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    this.#episodes.push({ records, tokens, bytes });
    let all = this.#episodes.reduce((sum, episode) => sum + episode.bytes, 0);
    while (all > this.#limitBytes && this.#episodes.length > 1) all -= this.#episodes.shift()?.bytes ?? 0;
  }
}

function joined(frames: readonly RoutesFrame[]): Pick<RouteRecord, 'experts' | 'weights'> {
  const length = frames.reduce((sum, { experts }) => sum + experts.length, 0);
  const [experts, weights] = [new Uint16Array(length), new Float32Array(length)];
  let at = 0;
  for (const frame of frames) {
    experts.set(frame.experts, at);
    weights.set(frame.weights, at);
    at += frame.experts.length;
  }
  return { experts, weights };
}
