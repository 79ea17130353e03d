// Decodes the engine's binary frames (layout: native/rpc/README.md). No zod here: this is the hot path.
// Multi-byte fields are little-endian; typed arrays over copied bytes rely on a little-endian host, which every platform of llama.cpp's prebuilt libraries is.
import type { LogitsFrame, RoutesFrame, RoutingFrame, TokenPiece } from './engine.ts';

/** First payload byte of a binary frame; a JSON message starts with `{`. */
export const FRAME_MARK = 0xb1;
export const FRAME_VERSION = 1;
export const FRAME_KIND = { tokens: 1, routing: 2, routes: 3, logits: 4 } as const;
/** Bytes of one cell of a ROUTING frame: u32 cell, u32 count, f32 weightSum. */
export const CELL_BYTES = 12;

const HEADER_BYTES = 8;
const END_OF_GENERATION = 1;

export type Frame =
  | { kind: 'tokens'; generation: number; tokens: TokenPiece[] }
  | { kind: 'routing'; generation: number; frame: RoutingFrame }
  | { kind: 'routes'; generation: number; frame: RoutesFrame }
  | { kind: 'logits'; generation: number; frame: LogitsFrame };

/** The engine sent bytes that the protocol does not allow: its stream can no longer be trusted. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation';
}

const utf8 = new TextDecoder();

/** A forward reader over one frame; every read is checked against the frame's end. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Advances by `byteCount` and returns where they started. */
  #take(byteCount: number): number {
    const start = this.#offset;
    if (byteCount > this.#bytes.byteLength - start) {
      throw new ProtocolViolation(`a frame of ${this.#bytes.byteLength} bytes ends inside a field: ${byteCount} bytes wanted at offset ${start}`);
    }
    this.#offset = start + byteCount;
    return start;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }
  f32(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }

  /** A view, valid as long as the frame's bytes are. */
  view(byteCount: number): Uint8Array {
    const start = this.#take(byteCount);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, byteCount);
  }

  /** A copy in its own, aligned buffer. */
  copy(byteCount: number): ArrayBuffer {
    return Uint8Array.prototype.slice.call(this.view(byteCount)).buffer;
  }

  end(): void {
    const left = this.#bytes.byteLength - this.#offset;
    if (left !== 0) throw new ProtocolViolation(`a frame of ${this.#bytes.byteLength} bytes has ${left} bytes after its last field`);
  }
}

/** Decodes one whole frame. Throws ProtocolViolation. The result holds copies, no views of `bytes`. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const cursor = new Cursor(bytes);
  if (bytes.byteLength < HEADER_BYTES || cursor.u8() !== FRAME_MARK) throw new ProtocolViolation(`${bytes.byteLength} bytes that are not a frame`);
  const kind = cursor.u8();
  const version = cursor.u16();
  if (version !== FRAME_VERSION) throw new ProtocolViolation(`a frame of format version ${version}; this program reads version ${FRAME_VERSION}`);
  const generation = cursor.u32();
  const frame = decodeBody(kind, generation, cursor);
  cursor.end();
  return frame;
}

function decodeBody(kind: number, generation: number, cursor: Cursor): Frame {
  switch (kind) {
    case FRAME_KIND.tokens:
      return { kind: 'tokens', generation, tokens: decodeTokens(cursor) };
    case FRAME_KIND.routing:
      return { kind: 'routing', generation, frame: decodeRouting(cursor) };
    case FRAME_KIND.routes:
      return { kind: 'routes', generation, frame: decodeRoutes(cursor) };
    case FRAME_KIND.logits:
      return { kind: 'logits', generation, frame: decodeLogits(cursor) };
    default:
      throw new ProtocolViolation(`a frame of unknown kind ${kind}`);
  }
}

function decodeTokens(cursor: Cursor): TokenPiece[] {
  const count = cursor.u32();
  const tokens: TokenPiece[] = [];
  for (let index = 0; index < count; index++) {
    const id = cursor.i32();
    const logprob = cursor.f32();
    const flags = cursor.u8();
    const topCount = cursor.u8();
    const text = utf8.decode(cursor.view(cursor.u16()));
    const top: TokenPiece['top'] = [];
    for (let rank = 0; rank < topCount; rank++) {
      top.push({ id: cursor.i32(), logprob: cursor.f32(), bytes: new Uint8Array(cursor.copy(cursor.u16())) });
    }
    tokens.push({ id, text, logprob: Number.isNaN(logprob) ? null : logprob, endOfGeneration: (flags & END_OF_GENERATION) !== 0, top });
  }
  return tokens;
}

function decodeRouting(cursor: Cursor): RoutingFrame {
  const layerCount = cursor.u16();
  const expertCount = cursor.u16();
  const tokens = cursor.u32();
  const cellCount = cursor.u32();
  const cells = new Uint8Array(cursor.copy(cellCount * CELL_BYTES));
  const view = new DataView(cells.buffer);
  for (let offset = 0; offset < cells.byteLength; offset += CELL_BYTES) {
    const cell = view.getUint32(offset, true);
    if (cell >= layerCount * expertCount) throw new ProtocolViolation(`cell ${cell} in a frame of ${layerCount} layers x ${expertCount} experts`);
  }
  return { layerCount, expertCount, tokens, cells };
}

function decodeRoutes(cursor: Cursor): RoutesFrame {
  const firstPosition = cursor.u32();
  const tokenCount = cursor.u32();
  const layerCount = cursor.u16();
  const expertUsedCount = cursor.u16();
  const cells = tokenCount * layerCount * expertUsedCount;
  const tokenIds = new Int32Array(cursor.copy(tokenCount * 4));
  const experts = new Uint16Array(cursor.copy(cells * 2));
  const weights = new Float32Array(new Float16Array(cursor.copy(cells * 2)));
  return { firstPosition, tokenIds, layerCount, expertUsedCount, experts, weights };
}

function decodeLogits(cursor: Cursor): LogitsFrame {
  const rowCount = cursor.u32();
  const vocabularySize = cursor.u32();
  return { rowCount, vocabularySize, logits: new Float32Array(cursor.copy(rowCount * vocabularySize * 4)) };
}
